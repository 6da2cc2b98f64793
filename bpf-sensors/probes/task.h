/* Credentials, namespaces and the cgroup of a task. */
#pragma once
#include "sense.h"

struct creds {
	__u32 uid, euid, suid, fsuid;
	__u32 gid, egid, sgid, fsgid;
	__u64 permitted, effective, inheritable;
}; /* 56 bytes */
struct spaces {
	__u32 user, mnt, pid, pid_for_children, net, ipc, uts, cgroup, time, pad;
}; /* 40 bytes */

/* Which cgroup of a task is its own: that of the unified hierarchy, or of the pids controller where tasks live in
 * version 1 hierarchies. Set by the loader. */
const volatile __u32 cfg_cgroup_v1 = 0;

static __always_inline void creds_of(struct creds *c, const struct cred *cred)
{
	c->uid = BPF_CORE_READ(cred, uid.val);
	c->euid = BPF_CORE_READ(cred, euid.val);
	c->suid = BPF_CORE_READ(cred, suid.val);
	c->fsuid = BPF_CORE_READ(cred, fsuid.val);
	c->gid = BPF_CORE_READ(cred, gid.val);
	c->egid = BPF_CORE_READ(cred, egid.val);
	c->sgid = BPF_CORE_READ(cred, sgid.val);
	c->fsgid = BPF_CORE_READ(cred, fsgid.val);
	/* The type of a set changed with 6.3; it was and is eight bytes. */
	bpf_core_read(&c->permitted, 8, &cred->cap_permitted);
	bpf_core_read(&c->effective, 8, &cred->cap_effective);
	bpf_core_read(&c->inheritable, 8, &cred->cap_inheritable);
}

static __always_inline void spaces_of(struct spaces *s, struct task_struct *task)
{
	struct nsproxy *n = BPF_CORE_READ(task, nsproxy);
	s->user = BPF_CORE_READ(task, real_cred, user_ns, ns.inum);
	s->mnt = BPF_CORE_READ(n, mnt_ns, ns.inum);
	s->pid_for_children = BPF_CORE_READ(n, pid_ns_for_children, ns.inum);
	s->net = BPF_CORE_READ(n, net_ns, ns.inum);
	s->ipc = BPF_CORE_READ(n, ipc_ns, ns.inum);
	s->uts = BPF_CORE_READ(n, uts_ns, ns.inum);
	s->cgroup = BPF_CORE_READ(n, cgroup_ns, ns.inum);
	s->time = 0;
	if (bpf_core_field_exists(n->time_ns)) s->time = BPF_CORE_READ(n, time_ns, ns.inum);
	struct pid *p = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(p, level);
	struct upid u = {};
	if (level < 32) bpf_core_read(&u, sizeof(u), &p->numbers[level]);
	s->pid = BPF_CORE_READ(u.ns, ns.inum);
	s->pad = u.nr; /* the pid in its own namespace */
}

static __always_inline __u64 cgroup_of(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	if (!cfg_cgroup_v1) return BPF_CORE_READ(set, dfl_cgrp, kn, id);
	struct cgroup_subsys_state *css = 0;
	__u32 idx = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
	bpf_probe_read_kernel(&css, sizeof(css), (void *)__builtin_preserve_access_index(&set->subsys) + idx * sizeof(void *));
	return BPF_CORE_READ(css, cgroup, kn, id);
}
