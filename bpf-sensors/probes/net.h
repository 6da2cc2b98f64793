/* Sockets: addresses, who owns them, and what the kernel itself counts. */
#pragma once
#include "sense.h"

RING(sockets, 4 << 20);
RING(payloads, 4 << 20);

/* Zero where tracing programs cannot ask for a socket's cookie (before 5.12): of TCP its address is the key then. */
const volatile __u32 cfg_cookie = 1;

struct tuple {
	__u8 local[16], remote[16];
	__u16 local_port, remote_port;
	__u16 family;
	__u8 protocol, pad;
}; /* 40 bytes */

struct owner {
	__u64 start;
	__u32 tgid, uid;
}; /* 16 bytes */

enum { ROLE_UNKNOWN = 0, ROLE_CLIENT = 1, ROLE_SERVER = 2 };

struct connection {
	struct owner owner;
	__u64 opened, established;
	__u64 isn; /* initial sequence numbers, client's above server's: the same at both ends, whatever is translated */
	__u32 netns;
	__u8 role, pad[3];
	struct tuple wire; /* of the first packet sent, after translation; family 0 where none was seen */
}; /* 88 bytes */

struct counts {
	__u64 sent, received; /* payload, each byte once */
	__u32 segs_out, segs_in, srtt_us, retransmits;
}; /* 32 bytes */

/* Not an LRU: one that evicts would lose connections without a word. A full one counts. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct connection);
} connections SEC(".maps");

static __always_inline void tuple_of(struct tuple *t, struct sock *sk, __u8 protocol)
{
	t->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	t->protocol = protocol;
	t->pad = 0;
	/* skc_num is 0 already when a socket is reported closed. */
	t->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	t->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	__builtin_memset(t->local, 0, 32);
	if (t->family == AF_INET6) {
		BPF_CORE_READ_INTO(&t->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&t->remote, sk, __sk_common.skc_v6_daddr);
	} else {
		BPF_CORE_READ_INTO((__u32 *)t->local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__u32 *)t->remote, sk, __sk_common.skc_daddr);
	}
}

static __always_inline void counts_of(struct counts *c, struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	c->sent = BPF_CORE_READ(tp, bytes_sent) - BPF_CORE_READ(tp, bytes_retrans);
	c->received = BPF_CORE_READ(tp, bytes_received);
	/* The peer's FIN was counted as a byte; tcp_fin sets SOCK_DONE, bit 1. */
	if (c->received && (BPF_CORE_READ(sk, __sk_common.skc_flags) & 2)) c->received--;
	c->segs_out = BPF_CORE_READ(tp, segs_out);
	c->segs_in = BPF_CORE_READ(tp, segs_in);
	c->srtt_us = BPF_CORE_READ(tp, srtt_us) >> 3;
	c->retransmits = BPF_CORE_READ(tp, total_retrans);
}

static __always_inline void owner_is_current(struct owner *o)
{
	o->start = start_of((struct task_struct *)bpf_get_current_task());
	o->tgid = bpf_get_current_pid_tgid() >> 32;
	o->uid = (__u32)bpf_get_current_uid_gid();
}

static __always_inline void by_owner(struct header *h, const struct owner *o, __u16 kind, __u16 len)
{
	h->ts = bpf_ktime_get_boot_ns();
	h->start = o->start;
	h->tgid = o->tgid;
	h->tid = 0;
	h->uid = o->uid;
	h->kind = kind;
	h->len = len;
}
