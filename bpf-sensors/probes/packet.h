/* What is seen of packets: UDP flows, the translated address of a connection, and the first bytes of DNS, HTTP and TLS.
 * Nothing is parsed here; eight bytes decide what is worth copying, and of HTTP/2 the lengths of frames.
 *
 * A softirq may interrupt a run of this on the same CPU: there is no per-CPU scratch memory. */
#pragma once
#include "net.h"

/* 1: where the request comes in, 2: where it goes out, 3: both. */
const volatile __u32 cfg_http_sides = 3;
/* Zero: payload is not looked at. */
const volatile __u32 cfg_payload = 1;

#define REQUEST 256
#define RESPONSE 32
#define MISSES 4

enum { TALK_NEW = 0, TALK_HTTP = 1, TALK_TLS = 2, TALK_OTHER = 3, TALK_HTTP2 = 4 };
enum { WHAT_DNS = 1, WHAT_HTTP = 2, WHAT_TLS = 3, WHAT_HTTP2 = 4 };

/* One direction of HTTP/2. */
struct way {
	__u32 from, edge; /* sequence numbers: where the last frame seen began, and where the next begins */
	__u32 at, upto, to; /* offsets in a packet: where the next begins, and what is copied and has to be */
	__u8 is_in_step, is_data, astray, n_head;
	__u8 head[8]; /* of a frame header that a packet ended in */
};
struct talk {
	__u64 asked; /* when the request was seen */
	__u32 seq, left[2]; /* rest of a TLS record that is split, by direction */
	__u16 request_len;
	__u8 kind, misses, out, hellos, pad[2];
	union {
		__u8 request[REQUEST];
		struct way ways[2];
	};
};
/* LRU: of a connection that was forgotten the next request is seen again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct talk);
} talks SEC(".maps");
/* Zeroes to start from: a talk does not fit on the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct talk);
} no_talk SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, struct owner);
} udp_owners SEC(".maps");
struct udp_key {
	__u64 cookie;
	__u8 remote[16];
	__u16 remote_port, local_port;
	__u32 pad;
};
struct udp_flow {
	struct tuple t;
	struct owner owner;
	__u64 first, last, sent, received;
	__u32 packets_out, packets_in;
	__u32 is_out_first, pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, struct udp_key);
	__type(value, struct udp_flow);
} udp_flows SEC(".maps");

struct payload_event {
	struct header h;
	struct tuple t;
	__u64 key, isn, latency;
	__u32 total, seq;
	__u16 what, len, response_len;
	__u8 out, role;
	__u8 bytes[];
}; /* 112 bytes and payload */

struct packet {
	struct tuple t;
	__u64 key;
	__u32 off, len, seq, flags;
	__u32 out;
};

static __always_inline void fill(struct payload_event *e, const struct packet *p, __u16 what, __u16 len)
{
	struct owner who = {};
	e->isn = 0;
	e->role = ROLE_UNKNOWN;
	if (p->t.protocol == IPPROTO_TCP) {
		struct connection *known = bpf_map_lookup_elem(&connections, &p->key);
		if (known) {
			who = known->owner;
			e->isn = known->isn;
			e->role = known->role;
		}
	} else {
		struct owner *known = bpf_map_lookup_elem(&udp_owners, &p->key);
		if (known) who = *known;
	}
	by_owner(&e->h, &who, KIND_PAYLOAD, len);
	__builtin_memcpy(&e->t, &p->t, sizeof(p->t));
	e->key = p->key;
	e->latency = 0;
	e->total = p->len;
	e->seq = p->seq;
	e->what = what;
	e->len = e->response_len = 0;
	e->out = p->out;
}

static __always_inline void copy(struct __sk_buff *skb, const struct packet *p, __u16 what, const __u32 max)
{
	struct payload_event *e = bpf_ringbuf_reserve(&payloads, sizeof(*e) + max, 0);
	if (!e) {
		count_lost(KIND_PAYLOAD);
		return;
	}
	fill(e, p, what, sizeof(*e) + max);
	__u32 n = p->len < max ? p->len : max;
	CLAMP1(n, max);
	if (p->len && !bpf_skb_load_bytes(skb, p->off, e->bytes, n)) e->len = n;
	submit(e, KIND_PAYLOAD);
}

static __always_inline void answer(struct __sk_buff *skb, const struct packet *p, struct talk *talk, const __u32 max)
{
	struct payload_event *e = bpf_ringbuf_reserve(&payloads, sizeof(*e) + max + RESPONSE, 0);
	if (!e) {
		count_lost(KIND_PAYLOAD);
		return;
	}
	fill(e, p, WHAT_HTTP, sizeof(*e) + max + RESPONSE);
	e->latency = e->h.ts - talk->asked;
	e->seq = talk->seq;
	e->len = talk->request_len;
	e->out = talk->out;
	__builtin_memcpy(e->bytes, talk->request, max);
	__u32 n = p->len < RESPONSE ? p->len : RESPONSE;
	CLAMP1(n, RESPONSE);
	if (!bpf_skb_load_bytes(skb, p->off, e->bytes + max, n)) e->response_len = n;
	submit(e, KIND_PAYLOAD);
}

static __always_inline int is_method(__u32 word)
{
	return word == 0x47455420 || word == 0x504f5354 || word == 0x50555420 || word == 0x48454144 ||
	       word == 0x44454c45 || word == 0x4f505449 || word == 0x50415443 || word == 0x434f4e4e;
}

/* Whether requests that go this way are none of ours to tell. */
static __always_inline int is_unwanted(__u32 is_out) { return !(cfg_http_sides & (is_out ? 2 : 1)); }

#define PREFACE 24
/* The first eight bytes of SETTINGS: a length in sixes, no flags, no stream. */
static __always_inline int is_settings(const __u8 *b)
{
	__u32 length = (__u32)b[1] << 8 | b[2];
	return b[0] == 0 && length <= 120 && length % 6 == 0 && b[3] == 4 && !(b[4] | b[5] | b[6] | b[7]);
}

static __always_inline void udp(struct __sk_buff *skb, const struct packet *p)
{
	struct udp_key k;
	__builtin_memset(&k, 0, sizeof(k));
	k.cookie = p->key;
	k.remote_port = p->t.remote_port;
	k.local_port = p->t.local_port;
	__builtin_memcpy(k.remote, p->t.remote, 16);
	__u64 now = bpf_ktime_get_boot_ns();
	struct udp_flow *flow = bpf_map_lookup_elem(&udp_flows, &k);
	if (!flow) {
		struct udp_flow f;
		__builtin_memset(&f, 0, sizeof(f));
		f.t = p->t;
		f.first = now;
		f.is_out_first = p->out;
		struct owner *owner = bpf_map_lookup_elem(&udp_owners, &p->key);
		if (owner) f.owner = *owner;
		bpf_map_update_elem(&udp_flows, &k, &f, BPF_NOEXIST);
		flow = bpf_map_lookup_elem(&udp_flows, &k);
	}
	if (flow) {
		flow->last = now;
		__sync_fetch_and_add(p->out ? &flow->sent : &flow->received, p->len);
		__sync_fetch_and_add(p->out ? &flow->packets_out : &flow->packets_in, 1);
	} else {
		count_lost(KIND_UDP);
	}
	if (!cfg_payload || (p->t.remote_port != 53 && p->t.local_port != 53)) return;
	if (p->len <= 128) copy(skb, p, WHAT_DNS, 128);
	else copy(skb, p, WHAT_DNS, 1024);
}

static __always_inline void hello(struct __sk_buff *skb, const struct packet *p)
{
	if (p->len <= 512) copy(skb, p, WHAT_TLS, 512);
	else copy(skb, p, WHAT_TLS, 2048);
}

#include "http2.h"

/* DNS in TCP: each packet's beginning, since a message may be in several. */
static __always_inline void names(struct __sk_buff *skb, const struct packet *p)
{
	if (p->len <= 128) copy(skb, p, WHAT_DNS, 128);
	else if (p->len <= 1024) copy(skb, p, WHAT_DNS, 1024);
	else copy(skb, p, WHAT_DNS, 4096);
}

/* What a connection speaks is told by how its packets begin. */
static __always_inline void listen_to(struct __sk_buff *skb, const struct packet *p, struct talk *talk)
{
	__u32 left = talk->left[p->out & 1];
	if (left) {
		talk->left[p->out & 1] = left > p->len ? left - p->len : 0;
		hello(skb, p);
		if (talk->hellos >= 2 && !talk->left[0] && !talk->left[1]) talk->kind = TALK_OTHER;
		return;
	}
	__u8 b[8];
	if (bpf_skb_load_bytes(skb, p->off, b, 8)) return;
	__u32 word = (__u32)b[0] << 24 | (__u32)b[1] << 16 | (__u32)b[2] << 8 | b[3];
	if (word == 0x48545450 && b[4] == '/') {
		talk->kind = TALK_HTTP;
		if (!talk->asked || talk->out == p->out) return;
		if (talk->request_len <= 96) answer(skb, p, talk, 96);
		else answer(skb, p, talk, REQUEST);
		talk->asked = 0;
	} else if (is_method(word)) {
		talk->kind = TALK_HTTP;
		if (is_unwanted(p->out)) {
			talk->kind = TALK_OTHER;
			return;
		}
		__u32 n = p->len < REQUEST ? p->len : REQUEST;
		CLAMP1(n, REQUEST);
		if (bpf_skb_load_bytes(skb, p->off, talk->request, n)) return;
		talk->request_len = n;
		talk->out = p->out;
		talk->seq = p->seq;
		talk->asked = bpf_ktime_get_boot_ns();
	} else if (b[0] == 0x16 && b[1] == 3 && (b[5] == 1 || b[5] == 2)) {
		__u32 record = ((__u32)b[3] << 8 | b[4]) + 5;
		talk->kind = TALK_TLS;
		talk->hellos++;
		/* Of the server only the hello itself is in the clear: its first packet is enough. */
		if (b[5] == 1 && record > p->len) talk->left[p->out & 1] = record - p->len;
		hello(skb, p);
		if (talk->hellos >= 2 && !talk->left[0] && !talk->left[1]) talk->kind = TALK_OTHER;
	} else if (word == 0x50524920 && b[4] == '*') {
		if (is_unwanted(p->out)) talk->kind = TALK_OTHER;
		else begin_http2(p, talk, PREFACE);
	} else if (talk->kind == TALK_NEW && !talk->misses && is_settings(b)) {
		/* A server that does not wait for its client. */
		if (is_unwanted(!p->out)) talk->kind = TALK_OTHER;
		else begin_http2(p, talk, 0);
	} else if (talk->kind != TALK_HTTP && ++talk->misses >= MISSES) {
		talk->kind = TALK_OTHER;
	}
}

static __always_inline void tcp(struct __sk_buff *skb, const struct packet *p)
{
	__u64 key = p->key;
	if (p->t.remote_port == 53 || p->t.local_port == 53) {
		names(skb, p);
		return;
	}
	struct talk *talk = bpf_map_lookup_elem(&talks, &key);
	if (talk && talk->kind == TALK_OTHER) return;
	if (!talk) {
		if (p->len < 8) return;
		__u32 zero = 0;
		struct talk *none = bpf_map_lookup_elem(&no_talk, &zero);
		if (!none) return;
		bpf_map_update_elem(&talks, &key, none, BPF_NOEXIST);
		talk = bpf_map_lookup_elem(&talks, &key);
		if (!talk) return;
	}
	/* Keeps clang from reckoning with the pointer before it was compared with 0, which the verifier forbids. */
	asm volatile("" : "+r"(talk));
	if (talk->kind != TALK_HTTP2) {
		if (p->len < 8) return;
		listen_to(skb, p, talk);
	}
	if (talk->kind == TALK_HTTP2) http2(skb, p, &talk->ways[p->out & 1]);
}

/* The first packet of a connection, on its way out, carries the address after translation. */
static __always_inline void syn(const struct packet *p)
{
	__u64 key = p->key;
	struct connection *known = bpf_map_lookup_elem(&connections, &key);
	if (known && !known->wire.family) known->wire = p->t;
}

static __always_inline int seen(struct __sk_buff *skb, __u32 out)
{
	struct packet p;
	__builtin_memset(&p, 0, sizeof(p));
	__u8 ip[40];
	__u32 l4;
	if (bpf_skb_load_bytes(skb, 0, ip, 20)) return 1;
	__u8 version = ip[0] >> 4;
	if (version == 4) {
		if (((ip[6] & 0x1f) << 8 | ip[7]) != 0) return 1; /* not the first fragment */
		p.t.family = AF_INET;
		p.t.protocol = ip[9];
		l4 = (ip[0] & 15) * 4;
	} else if (version == 6) {
		if (bpf_skb_load_bytes(skb, 0, ip, 40)) return 1;
		p.t.family = AF_INET6;
		p.t.protocol = ip[6];
		l4 = 40;
	} else {
		return 1;
	}
	__u8 h[20];
	__u32 header = 8;
	if (p.t.protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, l4, h, 20)) return 1;
		header = (h[12] >> 4) * 4;
		p.flags = h[13];
		p.seq = (__u32)h[4] << 24 | (__u32)h[5] << 16 | (__u32)h[6] << 8 | h[7];
	} else if (p.t.protocol == IPPROTO_UDP) {
		if (bpf_skb_load_bytes(skb, l4, h, 8)) return 1;
	} else {
		return 1;
	}
	p.off = l4 + header;
	p.len = skb->len > p.off ? skb->len - p.off : 0;
	__u32 is_syn = p.t.protocol == IPPROTO_TCP && (p.flags & 0x12) == 2;
	if (p.t.protocol == IPPROTO_TCP && !(is_syn && out) && (!p.len || !cfg_payload)) return 1;
	if (cfg_cookie || p.t.protocol == IPPROTO_UDP) {
		p.key = bpf_get_socket_cookie(skb);
	} else {
		struct bpf_sock *sk = skb->sk;
		if (!sk) return 1;
		sk = bpf_sk_fullsock(sk);
		if (!sk) return 1;
		p.key = (__u64)sk;
	}
	p.out = out;
	__u16 from = (__u16)h[0] << 8 | h[1], to = (__u16)h[2] << 8 | h[3];
	p.t.local_port = out ? from : to;
	p.t.remote_port = out ? to : from;
	if (version == 4) {
		__builtin_memcpy(p.t.local, out ? ip + 12 : ip + 16, 4);
		__builtin_memcpy(p.t.remote, out ? ip + 16 : ip + 12, 4);
	} else {
		__builtin_memcpy(p.t.local, out ? ip + 8 : ip + 24, 16);
		__builtin_memcpy(p.t.remote, out ? ip + 24 : ip + 8, 16);
	}
	if (p.t.protocol == IPPROTO_UDP) udp(skb, &p);
	else if (is_syn) syn(&p);
	else tcp(skb, &p);
	return 1;
}
