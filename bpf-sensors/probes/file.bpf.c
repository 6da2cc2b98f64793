/* Files that are opened to be written or made, and those on a watch list; each once per process and minute. */
#include "path.h"

RING(files, 2 << 20);

/* Zero: nothing is watched, and an open for reading costs the look at its flags alone. */
const volatile __u32 cfg_watch = 0;
/* Bit n: some watched name has n bytes. Most names are told apart by that alone. */
const volatile __u64 cfg_watch_lengths = 0;
/* How long an open of the same file by the same process is not told again. */
const volatile __u64 cfg_repeat_ns = 60000000000ULL;

#define O_ACCMODE 3
#define FMODE_CREATED (1 << 20)
#define FILE_TEXT 1024

struct seen_key {
	__u64 start;
	__u64 ino;
	__u32 tgid, dev;
	__u32 flags, pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct seen_key);
	__type(value, __u64);
} seen_files SEC(".maps");

/* Names worth a look, padded with zeroes: of a watched file, or of a directory whose files are watched. The path is
 * compared in user space. */
struct name { char text[32]; };
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct name);
	__type(value, __u8);
} watched SEC(".maps");

struct open_event {
	struct header h;
	__u64 ino;
	__u32 dev, flags, is_made, is_cut;
	__u32 path_len, fd;
	char text[FILE_TEXT];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct open_event);
} open_scratch SEC(".maps");

static __always_inline int is_watched(struct dentry *d)
{
	struct name n;
	__u32 len = BPF_CORE_READ(d, d_name.len);
	if (len >= sizeof(n.text) || !(cfg_watch_lengths >> (len & 63) & 1)) return 0;
	__builtin_memset(&n, 0, sizeof(n));
	const unsigned char *text = BPF_CORE_READ(d, d_name.name);
	bpf_probe_read_kernel_str(n.text, sizeof(n.text), text);
	return bpf_map_lookup_elem(&watched, &n) != 0;
}

static __always_inline int opened(long fd)
{
	if (fd < 0) return 0;
	struct file *file = file_of(fd);
	if (!file) return 0;
	/* The kernel forgets O_CREAT and O_TRUNC once a file is open; that it made the file it remembers. */
	__u32 is_made = !!(BPF_CORE_READ(file, f_mode) & FMODE_CREATED);
	__u32 flags = BPF_CORE_READ(file, f_flags);
	struct dentry *d = BPF_CORE_READ(file, f_path.dentry);
	if (!(flags & O_ACCMODE) && !is_made) {
		if (!cfg_watch) return 0;
		if (!is_watched(d) && !is_watched(BPF_CORE_READ(d, d_parent))) return 0;
	}
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	__u16 mode = BPF_CORE_READ(inode, i_mode);
	if ((mode & 0170000) != 0100000) return 0; /* devices, pipes, directories */
	__u32 zero = 0;
	struct open_event *e = bpf_map_lookup_elem(&open_scratch, &zero);
	struct path_buffer *b = bpf_map_lookup_elem(&path_scratch, &zero);
	if (!e || !b) return 0;
	by_current(&e->h, KIND_OPEN, 0);
	struct seen_key k;
	__builtin_memset(&k, 0, sizeof(k));
	k.start = e->h.start;
	k.tgid = e->h.tgid;
	k.ino = BPF_CORE_READ(inode, i_ino);
	k.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	k.flags = (flags & O_ACCMODE) | is_made << 8;
	__u64 *last = bpf_map_lookup_elem(&seen_files, &k);
	if (last && e->h.ts - *last < cfg_repeat_ns) return 0;
	__u64 now = e->h.ts;
	bpf_map_update_elem(&seen_files, &k, &now, BPF_ANY);
	e->ino = k.ino;
	e->dev = k.dev;
	e->flags = flags;
	e->is_made = is_made;
	e->fd = fd;
	walk(b, d, BPF_CORE_READ(file, f_path.mnt));
	e->is_cut = b->is_cut;
	__u32 from = b->off, n = PATH_HALF - from;
	e->path_len = 0;
	if (n == 0 || n > PATH_HALF) return 0;
	if (n > FILE_TEXT) n = FILE_TEXT;
	CLAMP1(n, FILE_TEXT);
	if (!bpf_probe_read_kernel(e->text, n, b->text + (from & (PATH_HALF - 1)))) e->path_len = n;
	__u64 total = __builtin_offsetof(struct open_event, text) + n;
	asm volatile("" : "+r"(total));
	if (total > sizeof(*e)) return 0;
	e->h.len = total;
	if (bpf_ringbuf_output(&files, e, total, BPF_RB_NO_WAKEUP)) count_lost(KIND_OPEN);
	else count_emitted(KIND_OPEN);
	return 0;
}

/* One program for open, openat, openat2 and creat. */
SEC("tracepoint/syscalls/sys_exit_openat")
int file_opened(struct sys_exit_args *ctx) { return opened(ctx->ret); }
