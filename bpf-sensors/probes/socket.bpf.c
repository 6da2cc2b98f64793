/* TCP connections from first to last, their owners, drops, and what stands open. Bytes, segments and times are the
 * kernel's own counters: nothing runs per packet for them. */
#include "net.h"
#include "packet.h"

struct tcp_event {
	struct header h;
	struct tuple t;
	__u64 key;
	struct connection c;
	struct counts n;
	__u32 state, error; /* the state it was closed in */
};
struct listen_event {
	struct header h;
	struct tuple t;
	__u64 key;
	__u32 backlog, netns;
};

#define KEY(sk) (cfg_cookie ? bpf_get_socket_cookie(sk) : (__u64)(sk))

static __always_inline void opening(struct sock *sk, __u64 key)
{
	struct connection c;
	__builtin_memset(&c, 0, sizeof(c));
	owner_is_current(&c.owner);
	c.opened = bpf_ktime_get_boot_ns();
	c.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	c.role = ROLE_CLIENT;
	if (bpf_map_update_elem(&connections, &key, &c, BPF_ANY)) count_lost(KIND_UNTRACKED);
}

static __always_inline void listening(struct sock *sk, __u64 key)
{
	struct listen_event *e = bpf_ringbuf_reserve(&sockets, sizeof(*e), 0);
	if (!e) {
		count_lost(KIND_LISTEN);
		return;
	}
	by_current(&e->h, KIND_LISTEN, sizeof(*e));
	tuple_of(&e->t, sk, IPPROTO_TCP);
	e->key = key;
	e->backlog = BPF_CORE_READ(sk, sk_max_ack_backlog);
	e->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	submit(e, KIND_LISTEN);
}

static __always_inline void established(struct sock *sk, __u64 key, int from)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	__u32 mine = BPF_CORE_READ(tp, snd_una) - 1, theirs = BPF_CORE_READ(tp, rcv_nxt) - 1;
	__u64 now = bpf_ktime_get_boot_ns();
	struct connection *known = bpf_map_lookup_elem(&connections, &key);
	if (known) {
		known->established = now;
		known->isn = (__u64)mine << 32 | theirs;
		return;
	}
	if (from != TCP_SYN_RECV) return;
	struct connection c;
	__builtin_memset(&c, 0, sizeof(c));
	c.opened = c.established = now;
	c.isn = (__u64)theirs << 32 | mine;
	c.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	c.role = ROLE_SERVER;
	if (bpf_map_update_elem(&connections, &key, &c, BPF_ANY)) count_lost(KIND_UNTRACKED);
}

static __always_inline void closed(struct sock *sk, __u64 key, int from)
{
	struct tcp_event *e = bpf_ringbuf_reserve(&sockets, sizeof(*e), 0);
	struct connection *known = bpf_map_lookup_elem(&connections, &key);
	if (!e) {
		count_lost(KIND_TCP);
	} else {
		if (known) __builtin_memcpy(&e->c, known, sizeof(e->c));
		else __builtin_memset(&e->c, 0, sizeof(e->c));
		by_owner(&e->h, &e->c.owner, KIND_TCP, sizeof(*e));
		tuple_of(&e->t, sk, IPPROTO_TCP);
		if (!known) e->c.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
		e->key = key;
		counts_of(&e->n, sk);
		e->state = from;
		e->error = BPF_CORE_READ(sk, sk_err);
		submit(e, KIND_TCP);
	}
	if (known) bpf_map_delete_elem(&connections, &key);
	bpf_map_delete_elem(&talks, &key);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int from, int to)
{
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP) return 0;
	if (to == TCP_SYN_SENT) {
		opening(sk, KEY(sk));
	} else if (to == TCP_LISTEN) {
		listening(sk, KEY(sk));
	} else if (to == TCP_ESTABLISHED) {
		established(sk, KEY(sk), from);
	} else if (to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK) {
		/* Set by the process that closes. Owners of what was accepted past the system calls show here. */
		__u64 key = KEY(sk);
		struct connection *known = bpf_map_lookup_elem(&connections, &key);
		if (known && !known->owner.tgid) owner_is_current(&known->owner);
	} else if (to == TCP_CLOSE && from != TCP_LISTEN && from != TCP_CLOSE) {
		closed(sk, KEY(sk), from);
	}
	return 0;
}

/* The owner of an accepted socket: handshakes end in a softirq, so it is known when accept returns. */
static __always_inline int accepted(long fd)
{
	if (fd < 0) return 0;
	struct file *file = file_of(fd);
	if (!file) return 0;
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6) return 0;
	__u64 key = cfg_cookie ? (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) : (__u64)sk;
	struct connection *known = bpf_map_lookup_elem(&connections, &key);
	if (known) owner_is_current(&known->owner);
	return 0;
}
SEC("tracepoint/syscalls/sys_exit_accept4")
int tcp_accept4(struct sys_exit_args *ctx) { return accepted(ctx->ret); }
SEC("tracepoint/syscalls/sys_exit_accept")
int tcp_accept(struct sys_exit_args *ctx) { return accepted(ctx->ret); }

/* UDP sockets belong to who made them. */
SEC("cgroup/sock_create")
int udp_made(struct bpf_sock *sk)
{
	if (sk->protocol != IPPROTO_UDP) return 1;
	__u64 cookie = bpf_get_socket_cookie(sk);
	struct owner o;
	owner_is_current(&o);
	if (bpf_map_update_elem(&udp_owners, &cookie, &o, BPF_ANY)) count_lost(KIND_OWNER);
	return 1;
}
SEC("cgroup/sock_release")
int udp_gone(struct bpf_sock *sk)
{
	if (sk->protocol != IPPROTO_UDP) return 1;
	__u64 cookie = bpf_get_socket_cookie(sk);
	bpf_map_delete_elem(&udp_owners, &cookie);
	return 1;
}

SEC("cgroup_skb/egress")
int packet_out(struct __sk_buff *skb) { return seen(skb, 1); }
SEC("cgroup_skb/ingress")
int packet_in(struct __sk_buff *skb) { return seen(skb, 0); }

/* Dropped packets, folded by reason and addresses until user space takes them. */
struct drop_key {
	struct tuple t;
	__u32 reason, netns;
};
struct drop {
	__u64 count, first, last, bytes;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct drop_key);
	__type(value, struct drop);
} drops SEC(".maps");

/* The numbers moved with 6.3. */
const volatile __s32 cfg_first_reason = 3;
/* A bit for each reason that nobody wants to hear of. Decided here: every connection ends with such packets, and they
 * would take the places of those that matter. */
const volatile __u64 cfg_ignored_reasons[4] = {};

SEC("tp_btf/kfree_skb")
int BPF_PROG(packet_dropped, struct sk_buff *skb, void *location, int reason)
{
	if (reason < cfg_first_reason) return 0; /* not dropped, used up, or the kernel does not say */
	if (reason < 256 && cfg_ignored_reasons[(reason >> 6) & 3] >> (reason & 63) & 1) return 0;
	struct drop_key k;
	__builtin_memset(&k, 0, sizeof(k));
	unsigned char *l3 = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
	__u16 protocol = bpf_ntohs(BPF_CORE_READ(skb, protocol));
	__u32 l4 = 0;
	k.reason = reason;
	struct net_device *device = BPF_CORE_READ(skb, dev);
	if (device) k.netns = BPF_CORE_READ(device, nd_net.net, ns.inum);
	if (protocol == 0x0800) {
		__u8 ip[20];
		if (bpf_probe_read_kernel(ip, sizeof(ip), l3)) return 0;
		k.t.family = AF_INET;
		k.t.protocol = ip[9];
		__builtin_memcpy(k.t.local, ip + 12, 4);
		__builtin_memcpy(k.t.remote, ip + 16, 4);
		l4 = (ip[0] & 15) * 4;
	} else if (protocol == 0x86dd) {
		__u8 ip[40];
		if (bpf_probe_read_kernel(ip, sizeof(ip), l3)) return 0;
		k.t.family = AF_INET6;
		k.t.protocol = ip[6];
		__builtin_memcpy(k.t.local, ip + 8, 16);
		__builtin_memcpy(k.t.remote, ip + 24, 16);
		l4 = 40;
	} else {
		return 0;
	}
	if (k.t.protocol == IPPROTO_TCP || k.t.protocol == IPPROTO_UDP) {
		__u16 ports[2] = {};
		bpf_probe_read_kernel(ports, sizeof(ports), l3 + l4);
		k.t.local_port = bpf_ntohs(ports[0]);
		k.t.remote_port = bpf_ntohs(ports[1]);
	}
	__u64 now = bpf_ktime_get_boot_ns();
	struct drop *known = bpf_map_lookup_elem(&drops, &k);
	if (known) {
		__sync_fetch_and_add(&known->count, 1);
		__sync_fetch_and_add(&known->bytes, BPF_CORE_READ(skb, len));
		known->last = now;
		return 0;
	}
	struct drop d = { .count = 1, .first = now, .last = now, .bytes = BPF_CORE_READ(skb, len) };
	if (bpf_map_update_elem(&drops, &k, &d, BPF_NOEXIST)) count_lost(KIND_DROP);
	return 0;
}

/* Every open socket of every task, whatever network namespace it lives in. */
struct socket_record {
	struct owner owner;
	struct tuple t;
	__u64 key;
	struct connection c;
	struct counts n;
	__u32 state, netns;
	__u32 backlog, is_known;
};

SEC("iter/task_file")
int open_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	if (!task || !file) return 0;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & 0170000) != 0140000) return 0;
	struct socket *socket;
	struct sock *sk;
	if (cfg_cookie) {
		socket = bpf_sock_from_file(file);
		if (!socket) return 0;
		sk = socket->sk;
	} else {
		socket = BPF_CORE_READ(file, private_data);
		sk = BPF_CORE_READ(socket, sk);
	}
	if (!sk) return 0;
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6) return 0;
	__u16 protocol = BPF_CORE_READ(sk, sk_protocol);
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) return 0;
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (protocol == IPPROTO_TCP && state == TCP_CLOSE) return 0;
	struct socket_record r;
	__builtin_memset(&r, 0, sizeof(r));
	r.owner.start = start_of(task);
	r.owner.tgid = BPF_CORE_READ(task, tgid);
	r.owner.uid = BPF_CORE_READ(task, cred, uid.val);
	tuple_of(&r.t, sk, protocol);
	if (cfg_cookie) r.key = bpf_get_socket_cookie(sk);
	else r.key = protocol == IPPROTO_UDP ? (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) : (__u64)sk;
	r.state = state;
	r.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (protocol == IPPROTO_TCP && state != TCP_LISTEN) {
		counts_of(&r.n, sk);
		struct connection *known = bpf_map_lookup_elem(&connections, &r.key);
		if (known) {
			__builtin_memcpy(&r.c, known, sizeof(r.c));
			r.is_known = 1;
		} else {
			/* Older than the sensor: remembered, so that its payload and its end have an owner. */
			r.c.owner = r.owner;
			r.c.netns = r.netns;
			bpf_map_update_elem(&connections, &r.key, &r.c, BPF_NOEXIST);
		}
	} else if (protocol == IPPROTO_TCP) {
		r.backlog = BPF_CORE_READ(sk, sk_max_ack_backlog);
	} else {
		if (bpf_map_lookup_elem(&udp_owners, &r.key)) r.is_known = 1;
		else bpf_map_update_elem(&udp_owners, &r.key, &r.owner, BPF_NOEXIST);
	}
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}
