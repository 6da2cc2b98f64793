/* The few kernel types the probes touch, by hand, instead of a generated vmlinux.h: only the fields named here are
 * read, and clang emits a relocation for each, so that one object fits kernels 5.10 and later. */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef __u16 __sum16;
typedef _Bool bool;

enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_RB_NO_WAKEUP = 1 };
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { AF_INET = 2, AF_INET6 = 10 };
enum { IPPROTO_TCP = 6, IPPROTO_UDP = 17 };
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_CLOSE = 7,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct { __s64 counter; } atomic64_t;
typedef struct { int counter; } atomic_t;
typedef struct { __u32 val; } kuid_t;
typedef struct { __u32 val; } kgid_t;

/* Namespaces. */
struct ns_common { __u32 inum; };
struct net { struct ns_common ns; };
struct mnt_namespace { struct ns_common ns; };
struct pid_namespace { struct ns_common ns; };
struct ipc_namespace { struct ns_common ns; };
struct uts_namespace { struct ns_common ns; };
struct user_namespace { struct ns_common ns; };
struct cgroup_namespace { struct ns_common ns; };
struct time_namespace { struct ns_common ns; };
struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
	struct net *net_ns;
	struct time_namespace *time_ns;
	struct cgroup_namespace *cgroup_ns;
};
struct upid { int nr; struct pid_namespace *ns; };
struct pid { unsigned int level; struct upid numbers[1]; };

/* Files. */
struct qstr { __u32 len; const unsigned char *name; };
struct super_block { __u32 s_dev; };
struct inode { __u16 i_mode; __u64 i_ino; __u32 i_nlink; struct super_block *i_sb; };
struct dentry { struct dentry *d_parent; struct qstr d_name; struct inode *d_inode; };
struct vfsmount { struct dentry *mnt_root; };
struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct file { struct path f_path; struct inode *f_inode; unsigned int f_flags, f_mode; void *private_data; };
struct fdtable { unsigned int max_fds; struct file **fd; };
struct files_struct { struct fdtable *fdt; };
struct fs_struct { struct path pwd; };

/* Cgroups. */
struct kernfs_node { __u64 id; };
struct cgroup_root { int hierarchy_id; };
struct cgroup { struct kernfs_node *kn; struct cgroup_root *root; };
struct cgroup_subsys_state { struct cgroup *cgroup; };
struct css_set { struct cgroup_subsys_state *subsys[1]; struct cgroup *dfl_cgrp; };
enum cgroup_subsys_id { pids_cgrp_id = 11 };

/* Tasks. */
/* Two words before 6.3, one since; only where it lies is asked. */
struct kernel_cap { __u64 val; };
struct cred {
	kuid_t uid, suid, euid, fsuid;
	kgid_t gid, sgid, egid, fsgid;
	struct kernel_cap cap_inheritable, cap_permitted, cap_effective;
	struct user_namespace *user_ns;
};
struct task_io_accounting { __u64 rchar, wchar, read_bytes, write_bytes; };
struct signal_struct {
	atomic_t live;
	int group_exit_code;
	unsigned long maxrss;
	__u64 utime, stime;
	struct task_io_accounting ioac;
};
struct mm_struct { unsigned long arg_start, arg_end; struct file *exe_file; };
struct task_struct {
	unsigned int flags;
	int pid, tgid;
	int exit_code;
	__u64 start_boottime, utime, stime;
	struct task_struct *real_parent, *group_leader;
	struct pid *thread_pid;
	const struct cred *real_cred, *cred;
	struct nsproxy *nsproxy;
	struct files_struct *files;
	struct fs_struct *fs;
	struct signal_struct *signal;
	struct css_set *cgroups;
	struct mm_struct *mm;
	kuid_t loginuid;
	struct task_io_accounting ioac;
};
/* Another view of the same struct: an array member would pull its length into every relocation. */
struct task_struct___name { char comm[16]; };
struct linux_binprm { struct file *file; const char *filename; };

/* Sockets. */
struct in6_addr { union { __u8 u6_addr8[16]; } in6_u; };
typedef struct { struct net *net; } possible_net_t;
struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num, skc_family;
	volatile __u8 skc_state;
	unsigned long skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};
struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	__u32 sk_max_ack_backlog;
	int sk_err;
};
struct socket { struct sock *sk; };
struct inet_sock { struct sock sk; __be16 inet_sport; };
struct inet_connection_sock { struct inet_sock icsk_inet; };
struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 bytes_received, bytes_acked, bytes_sent, bytes_retrans;
	__u32 segs_in, segs_out, srtt_us, total_retrans, rcv_nxt, snd_una;
};
struct net_device { possible_net_t nd_net; };
struct sk_buff {
	unsigned char *head;
	__u16 network_header, transport_header;
	__be16 protocol;
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
};

/* Iterators. */
struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; __u64 session_id, seq_num; };
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; };
struct bpf_iter__task_file { struct bpf_iter_meta *meta; struct task_struct *task; __u32 fd; struct file *file; };

#pragma clang attribute pop

/* Contexts whose layout is fixed: the user-space ABI of the bpf system call. */
struct bpf_raw_tracepoint_args { __u64 args[0]; };
struct bpf_sock;
struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	__u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end;
	__u32 napi_id, family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, data_meta;
	__u64 flow_keys __attribute__((aligned(8)));
	__u64 tstamp;
	__u32 wire_len, gso_segs;
	struct bpf_sock *sk __attribute__((aligned(8)));
};
struct bpf_sock { __u32 bound_dev_if, family, type, protocol, mark, priority; };
struct sys_enter_args { __u64 common, nr, args[6]; };
struct sys_exit_args { __u64 common, nr; long ret; };
