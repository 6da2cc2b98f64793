/* HTTP/2 in clear text: what user space needs to follow a connection, and as little else as can be.
 *
 * Header fields refer to those before them, so every frame but DATA has to be copied from the first on. Of DATA only
 * the nine bytes before it matter: frames are walked by their lengths here, and a segment that lies within DATA costs
 * a comparison. What is copied bears its sequence number. User space walks the frames itself: a place that is lost
 * here costs rows there, and makes none. */
#pragma once

#define FRAME_HEADER 9
/* Copies of one packet, and frames walked from one to the next; one with more is read up to there. */
#define COPIES 8
#define FRAMES 24
#define SMALL 256
#define LARGE 2048
/* Packets that are copied while it is not known where frames begin. */
#define ASTRAY 16

enum { FRAME_DATA = 0, FRAME_SETTINGS = 4, FRAME_LAST = 9 };

/* Into a record of one size: older verifiers forget what a length was compared with once it was on the stack, so the
 * record and the bound of what goes into it belong to one path. */
static __always_inline void piece_of(struct __sk_buff *skb, const struct packet *p, __u32 from, __u32 n, const __u32 max)
{
	struct payload_event *e = bpf_ringbuf_reserve(&payloads, sizeof(*e) + max, 0);
	if (!e) {
		count_lost(KIND_PAYLOAD);
		return;
	}
	fill(e, p, WHAT_HTTP2, sizeof(*e) + max);
	e->seq = p->seq + from;
	CLAMP1(n, max);
	if (!bpf_skb_load_bytes(skb, p->off + from, e->bytes, n)) e->len = n;
	submit(e, KIND_PAYLOAD);
}

/* Copies from an offset of the payload on; into the smaller or the larger record. A function of its own: inlined at
 * each call it would be most of the object. */
static __attribute__((noinline)) int piece(struct __sk_buff *skb, const struct packet *p, __u32 from, __u32 n)
{
	if (n <= SMALL) piece_of(skb, p, from, n, SMALL);
	else piece_of(skb, p, from, n, LARGE);
	return 0;
}

static __always_inline __u32 length_of(const __u8 *h) { return (__u32)h[0] << 16 | (__u32)h[1] << 8 | h[2]; }

/* Whether nine bytes can be the beginning of a frame: text and most other bytes cannot. */
static __always_inline int is_frame(const __u8 *h)
{
	if (length_of(h) > 1 << 20 || h[3] > FRAME_LAST || h[4] & ~0x2d || h[5] & 0x80) return 0;
	return h[3] != FRAME_SETTINGS || !(h[5] | h[6] | h[7] | h[8]);
}

/* The rest of a frame header whose beginning ended the packet before. */
static __always_inline int header_rest(struct __sk_buff *skb, const struct packet *p, const struct way *way, __u8 *h)
{
	__u32 n = way->n_head;
	if (p->len + n < FRAME_HEADER) return 0;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < FRAME_HEADER; i++) {
		if (i < n && i < sizeof(way->head)) h[i] = way->head[i];
		else if (bpf_skb_load_bytes(skb, p->off + i - n, h + i, 1)) return 0;
	}
	return 1;
}

static __always_inline void keep_head(struct __sk_buff *skb, const struct packet *p, struct way *way, __u32 at)
{
	way->n_head = p->len - at;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < sizeof(way->head); i++)
		if (at + i < p->len) bpf_skb_load_bytes(skb, p->off + at + i, way->head + i, 1);
}

/* The walk's offsets stand in the map: in registers the verifier would follow each of their values. */
static __always_inline void walk(struct __sk_buff *skb, const struct packet *p, struct way *way)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < FRAMES; i++) {
		__u8 h[FRAME_HEADER];
		__u32 at = way->at;
		if (way->to > way->upto || at >= p->len) return;
		if (at > way->upto) way->upto = at;
		if (p->len - at < FRAME_HEADER) {
			keep_head(skb, p, way, at);
			way->edge = p->seq + at;
			way->at = way->to = p->len;
			return;
		}
		if (bpf_skb_load_bytes(skb, p->off + at, h, FRAME_HEADER)) return;
		way->from = p->seq + at;
		way->is_data = h[3] == FRAME_DATA;
		at += FRAME_HEADER;
		way->to = at;
		at += length_of(h);
		way->at = at;
		way->edge = p->seq + at;
		if (!way->is_data) way->to = at < p->len ? at : p->len;
	}
}

static __always_inline void copy_frames(struct __sk_buff *skb, const struct packet *p, struct way *way)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < COPIES; i++) {
		walk(skb, p, way);
		__u32 upto = way->upto, n = way->to - upto, rest = p->len - upto;
		if (upto >= p->len || (n == 0 && way->at >= p->len)) break;
		if (way->to <= upto) continue;
		/* Small frames come in company: what follows is copied with them, more of it where there are many. */
		if (n <= SMALL) n = i < 2 && rest > SMALL ? SMALL : rest;
		n = n < LARGE ? n : LARGE;
		piece(skb, p, upto, n);
		way->upto = upto + n;
	}
	/* Too many frames: what follows is found again where a packet begins with one. */
	if (way->at < p->len || (way->to > way->upto && way->upto < p->len)) way->is_in_step = 0;
}

/* Bytes whose place among frames is not known, as far as is worth it. */
static __always_inline void copy_all(struct __sk_buff *skb, const struct packet *p)
{
	__u32 upto = 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 4; i++) {
		if (upto >= p->len) break;
		__u32 n = p->len - upto;
		n = n < LARGE ? n : LARGE;
		piece(skb, p, upto, n);
		upto += n;
	}
}

static __always_inline void http2(struct __sk_buff *skb, const struct packet *p, struct way *way)
{
	__s32 ahead = way->edge - p->seq;
	int is_within = (__s32)(p->seq - way->from) >= 0;
	__u8 h[FRAME_HEADER];
	if (way->is_in_step && ahead >= 0) {
		if ((__u32)ahead >= p->len) {
			if (!way->is_data || !is_within) copy_all(skb, p);
			return;
		}
		way->at = way->to = ahead;
		way->upto = way->is_data && is_within ? ahead : 0;
	} else if (way->is_in_step && way->n_head && ahead + way->n_head == 0 && header_rest(skb, p, way, h)) {
		way->from = way->edge;
		way->is_data = h[3] == FRAME_DATA;
		way->upto = 0;
		way->to = FRAME_HEADER - way->n_head;
		way->at = way->to + length_of(h);
		way->edge = p->seq + way->at;
		if (!way->is_data) way->to = way->at < p->len ? way->at : p->len;
	} else {
		/* The beginning, a gap, or packets out of order. */
		if (bpf_skb_load_bytes(skb, p->off, h, FRAME_HEADER) || !is_frame(h)) {
			if (way->astray >= ASTRAY) return;
			way->astray++;
			copy_all(skb, p);
			return;
		}
		way->is_in_step = 1;
		way->astray = 0;
		way->at = way->upto = way->to = 0;
	}
	way->n_head = 0;
	copy_frames(skb, p, way);
}

/* The client's preface is passed over as the rest of a frame that has to be copied. */
static __always_inline void begin_http2(const struct packet *p, struct talk *talk, __u32 preface)
{
	__builtin_memset(talk->ways, 0, sizeof(talk->ways));
	talk->kind = TALK_HTTP2;
	struct way *way = &talk->ways[p->out & 1];
	way->is_in_step = 1;
	way->from = p->seq;
	way->edge = p->seq + preface;
}
