/* The life of processes, in a ring of its own; what they may do, and how that changes, in another. */
#include "task.h"
#include "path.h"

RING(life, 2 << 20);
RING(changes, 512 << 10);

#define PF_KTHREAD 0x00200000
#define TEXT_MAX 1024
#define ARGS_MAX 2048

struct exec_event {
	struct header h;
	__u64 parent_start, cgroup;
	__u64 exe_ino;
	__u32 exe_dev, exe_nlink;
	__u32 parent_tgid, auid;
	struct creds c;
	struct spaces s;
	__u16 exe_len, cwd_len, args_len, is_cut; /* is_cut: 1 arguments, 2 program, 4 directory */
	char comm[16];
	char text[TEXT_MAX + TEXT_MAX + ARGS_MAX + TEXT_MAX];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_event);
} exec_scratch SEC(".maps");

/* Appends the path in the buffer at text[off]; gives its length. */
static __always_inline __u32 put_path(struct exec_event *e, __u32 off, struct path_buffer *b)
{
	__u32 from = b->off, n = PATH_HALF - from;
	if (n == 0 || n > PATH_HALF) return 0;
	if (n > TEXT_MAX) n = TEXT_MAX;
	CLAMP1(n, TEXT_MAX);
	if (bpf_probe_read_kernel(e->text + (off & (TEXT_MAX - 1)), n, b->text + (from & (PATH_HALF - 1)))) return 0;
	return n;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 zero = 0;
	struct exec_event *e = bpf_map_lookup_elem(&exec_scratch, &zero);
	struct path_buffer *b = bpf_map_lookup_elem(&path_scratch, &zero);
	if (!e || !b) return 0;
	by_current(&e->h, KIND_EXEC, 0);
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	e->parent_start = start_of(parent);
	e->parent_tgid = BPF_CORE_READ(parent, tgid);
	e->cgroup = cgroup_of(task);
	e->auid = bpf_core_field_exists(task->loginuid) ? BPF_CORE_READ(task, loginuid.val) : -1;
	creds_of(&e->c, BPF_CORE_READ(task, cred));
	spaces_of(&e->s, task);
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	struct file *file = BPF_CORE_READ(bprm, file);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	e->exe_ino = BPF_CORE_READ(inode, i_ino);
	e->exe_dev = BPF_CORE_READ(inode, i_sb, s_dev);
	e->exe_nlink = BPF_CORE_READ(inode, i_nlink);
	e->is_cut = 0;

	__u32 off = 0;
	walk(b, BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(file, f_path.mnt));
	if (b->is_cut) e->is_cut |= 2;
	e->exe_len = put_path(e, 0, b);
	off = e->exe_len & (2 * TEXT_MAX - 1);
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	walk(b, BPF_CORE_READ(fs, pwd.dentry), BPF_CORE_READ(fs, pwd.mnt));
	if (b->is_cut) e->is_cut |= 4;
	{
		__u32 from = b->off, n = PATH_HALF - from;
		e->cwd_len = 0;
		if (n > 0 && n <= PATH_HALF) {
			if (n > TEXT_MAX) n = TEXT_MAX;
			CLAMP1(n, TEXT_MAX);
			if (!bpf_probe_read_kernel(e->text + off, n, b->text + (from & (PATH_HALF - 1)))) {
				e->cwd_len = n;
				off += n;
			}
		}
	}
	unsigned long from = BPF_CORE_READ(task, mm, arg_start), to = BPF_CORE_READ(task, mm, arg_end);
	__u64 n = to - from;
	e->args_len = 0;
	if (n > ARGS_MAX) {
		n = ARGS_MAX;
		e->is_cut |= 1;
	}
	off &= 4 * TEXT_MAX - 1;
	if (off > 2 * TEXT_MAX) return 0;
	if (n) {
		CLAMP1(n, ARGS_MAX);
		if (!bpf_probe_read_user(e->text + off, n, (void *)from)) {
			e->args_len = n;
			off += n;
		}
	}
	__u64 total = __builtin_offsetof(struct exec_event, text) + off;
	asm volatile("" : "+r"(total));
	if (total > sizeof(*e)) return 0;
	e->h.len = total;
	if (bpf_ringbuf_output(&life, e, total, BPF_RB_NO_WAKEUP)) count_lost(KIND_EXEC);
	else count_emitted(KIND_EXEC);
	return 0;
}

struct fork_event {
	struct header h;
	__u64 child_start, cgroup, clone_flags;
	__u32 child_tgid, pad;
	struct spaces s;
	char comm[16];
};

/* At the end of copy_process, before the child runs; unlike sched_process_fork it tells the flags. */
SEC("tp_btf/task_newtask")
int BPF_PROG(process_fork, struct task_struct *child, unsigned long clone_flags)
{
	__u32 tgid = BPF_CORE_READ(child, tgid);
	if (tgid != BPF_CORE_READ(child, pid)) return 0; /* a thread */
	if (BPF_CORE_READ(child, flags) & PF_KTHREAD) return 0;
	struct fork_event *e = bpf_ringbuf_reserve(&life, sizeof(*e), 0);
	if (!e) {
		count_lost(KIND_FORK);
		return 0;
	}
	by_current(&e->h, KIND_FORK, sizeof(*e));
	e->child_start = BPF_CORE_READ(child, start_boottime);
	e->child_tgid = tgid;
	e->pad = 0;
	e->cgroup = cgroup_of(child);
	e->clone_flags = clone_flags;
	spaces_of(&e->s, child);
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	submit(e, KIND_FORK);
	return 0;
}

struct exit_event {
	struct header h;
	__u64 user_ns, system_ns, max_rss_pages, read_bytes, written_bytes;
	__u32 code, is_partial;
};

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	if (BPF_CORE_READ(signal, live.counter) != 0) return 0; /* other threads live on */
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD) return 0;
	struct exit_event *e = bpf_ringbuf_reserve(&life, sizeof(*e), 0);
	if (!e) {
		count_lost(KIND_EXIT);
		return 0;
	}
	by_current(&e->h, KIND_EXIT, sizeof(*e));
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	/* Threads that are gone left their share in the signal struct, a leader that went first is still there. */
	e->user_ns = BPF_CORE_READ(signal, utime) + BPF_CORE_READ(task, utime);
	e->system_ns = BPF_CORE_READ(signal, stime) + BPF_CORE_READ(task, stime);
	if (leader != task) {
		e->user_ns += BPF_CORE_READ(leader, utime);
		e->system_ns += BPF_CORE_READ(leader, stime);
	}
	e->max_rss_pages = BPF_CORE_READ(signal, maxrss);
	e->read_bytes = e->written_bytes = 0;
	e->is_partial = 1;
	if (bpf_core_field_exists(task->ioac.rchar)) {
		e->read_bytes = BPF_CORE_READ(signal, ioac.rchar) + BPF_CORE_READ(task, ioac.rchar);
		e->written_bytes = BPF_CORE_READ(signal, ioac.wchar) + BPF_CORE_READ(task, ioac.wchar);
		e->is_partial = 0;
	}
	__u32 group = BPF_CORE_READ(signal, group_exit_code);
	e->code = group ? group : BPF_CORE_READ(leader, exit_code);
	submit(e, KIND_EXIT);
	return 0;
}

struct cgroup_event {
	struct header h;
	__u64 id, task_start;
	__u32 hierarchy, task_tgid;
	char path[512];
};

static __always_inline struct cgroup_event *cgroup_event(struct cgroup *cgroup, const char *path)
{
	struct cgroup_event *e = bpf_ringbuf_reserve(&life, sizeof(*e), 0);
	if (!e) {
		count_lost(KIND_CGROUP);
		return 0;
	}
	by_current(&e->h, KIND_CGROUP, sizeof(*e));
	e->id = BPF_CORE_READ(cgroup, kn, id);
	e->hierarchy = BPF_CORE_READ(cgroup, root, hierarchy_id);
	e->task_start = 0;
	e->task_tgid = 0;
	e->path[0] = 0;
	bpf_probe_read_kernel_str(e->path, sizeof(e->path), path);
	return e;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup, const char *path)
{
	struct cgroup_event *e = cgroup_event(cgroup, path);
	if (e) submit(e, KIND_CGROUP);
	return 0;
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cgroup_entered, struct cgroup *cgroup, const char *path, struct task_struct *task, bool threadgroup)
{
	struct cgroup_event *e = cgroup_event(cgroup, path);
	if (!e) return 0;
	e->task_tgid = BPF_CORE_READ(task, tgid);
	e->task_start = start_of(task);
	submit(e, KIND_CGROUP);
	return 0;
}

/* Privileges, by comparing before and after the system calls that can change them. commit_creds would be one place
 * for all, but a function cannot be hooked on every kernel. */
struct standing {
	struct creds c;
	struct spaces s;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct standing);
} standings SEC(".maps");

struct change_event {
	struct header h;
	__u64 syscall;
	struct standing before, after;
};

SEC("tracepoint/syscalls/sys_enter_setuid")
int change_enter(struct sys_enter_args *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct standing now;
	__builtin_memset(&now, 0, sizeof(now));
	creds_of(&now.c, BPF_CORE_READ(task, cred));
	spaces_of(&now.s, task);
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	bpf_map_update_elem(&standings, &tid, &now, BPF_ANY);
	return 0;
}

#define WORDS (sizeof(struct standing) / 8)

SEC("tracepoint/syscalls/sys_exit_setuid")
int change_exit(struct sys_exit_args *ctx)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct standing *before = bpf_map_lookup_elem(&standings, &tid);
	if (!before) return 0;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct standing now;
	__builtin_memset(&now, 0, sizeof(now));
	creds_of(&now.c, BPF_CORE_READ(task, cred));
	spaces_of(&now.s, task);
	__u64 differs = 0;
#pragma unroll
	for (int i = 0; i < WORDS; i++) differs |= ((__u64 *)before)[i] ^ ((__u64 *)&now)[i];
	if (differs) {
		struct change_event *e = bpf_ringbuf_reserve(&changes, sizeof(*e), 0);
		if (e) {
			by_current(&e->h, KIND_CHANGE, sizeof(*e));
			e->syscall = ctx->nr & 0xffffffff;
			__builtin_memcpy(&e->before, before, sizeof(*before));
			__builtin_memcpy(&e->after, &now, sizeof(now));
			submit(e, KIND_CHANGE);
		} else {
			count_lost(KIND_CHANGE);
		}
	}
	bpf_map_delete_elem(&standings, &tid);
	return 0;
}

/* What runs already. Paths and arguments are in the memory of other tasks: user space reads them from /proc. */
struct task_record {
	__u64 start, parent_start, cgroup;
	__u32 tgid, parent_tgid, auid, is_kernel;
	__u64 exe_ino;
	__u32 exe_dev, exe_nlink;
	struct creds c;
	struct spaces s;
	char comm[16];
};

SEC("iter/task")
int running_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (!task || BPF_CORE_READ(task, tgid) != BPF_CORE_READ(task, pid)) return 0;
	struct task_record r;
	__builtin_memset(&r, 0, sizeof(r));
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	r.start = BPF_CORE_READ(task, start_boottime);
	r.parent_start = start_of(parent);
	r.cgroup = cgroup_of(task);
	r.tgid = BPF_CORE_READ(task, tgid);
	r.parent_tgid = BPF_CORE_READ(parent, tgid);
	r.auid = bpf_core_field_exists(task->loginuid) ? BPF_CORE_READ(task, loginuid.val) : -1;
	r.is_kernel = !!(BPF_CORE_READ(task, flags) & PF_KTHREAD);
	struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);
	r.exe_ino = BPF_CORE_READ(inode, i_ino);
	r.exe_dev = BPF_CORE_READ(inode, i_sb, s_dev);
	r.exe_nlink = BPF_CORE_READ(inode, i_nlink);
	creds_of(&r.c, BPF_CORE_READ(task, cred));
	spaces_of(&r.s, task);
	bpf_core_read_str(r.comm, sizeof(r.comm), &((struct task_struct___name *)task)->comm);
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}
