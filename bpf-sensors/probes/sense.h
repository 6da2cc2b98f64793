/* What every probe shares: the header of an event, and the account of what was emitted and what was not. */
#pragma once
#include "mini.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

char LICENSE[] SEC("license") = "GPL";

/* Kinds of events; `src/decode.rs` has the same numbers. */
enum kind {
	KIND_EXEC = 1,
	KIND_FORK = 2,
	KIND_EXIT = 3,
	KIND_CHANGE = 4,
	KIND_CGROUP = 5,
	KIND_OPEN = 6,
	KIND_LISTEN = 7,
	KIND_TCP = 8,
	KIND_PAYLOAD = 9,
	KIND_UDP = 10,
	KIND_DROP = 11,
	KIND_OWNER = 12,
	KIND_UNTRACKED = 13, /* a connection there was no room for in the map */
	KIND_MAX = 32,
};

struct header {
	__u64 ts;    /* CLOCK_BOOTTIME, nanoseconds */
	__u64 start; /* start of the process, CLOCK_BOOTTIME: with the pid the identity of a process */
	__u32 tgid, tid;
	__u32 uid;
	__u16 kind, len;
}; /* 32 bytes */

/* Slot 2k counts emitted events of kind k, slot 2k + 1 those there was no room for. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * KIND_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

#define RING(name, bytes)                              \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_RINGBUF);    \
		__uint(max_entries, bytes);            \
	} name SEC(".maps")

/* n in [1, max], max a power of two: survives the folding of clang and verifiers that do not track copies (<= 6.1). */
#define CLAMP1(n, max)                                 \
	do {                                           \
		asm volatile("" : "+r"(n));            \
		(n) = (((n) - 1) & ((max) - 1)) + 1;   \
	} while (0)

static __always_inline void count_slot(__u32 slot)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &slot);
	if (value) (*value)++;
}
static __always_inline void count_emitted(__u16 kind) { count_slot(2 * kind); }
static __always_inline void count_lost(__u16 kind) { count_slot(2 * kind + 1); }

static __always_inline __u64 start_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, group_leader, start_boottime);
}

/* Header of something that the current task did. */
static __always_inline void by_current(struct header *h, __u16 kind, __u16 len)
{
	__u64 ids = bpf_get_current_pid_tgid();
	h->ts = bpf_ktime_get_boot_ns();
	h->start = start_of((struct task_struct *)bpf_get_current_task());
	h->tgid = ids >> 32;
	h->tid = (__u32)ids;
	h->uid = (__u32)bpf_get_current_uid_gid();
	h->kind = kind;
	h->len = len;
}

/* The ring is drained by a timer: waking the reader costs more than all the rest of an event. */
static __always_inline void submit(void *event, __u16 kind)
{
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	count_emitted(kind);
}

/* File behind a descriptor of the current task. */
static __always_inline struct file *file_of(long fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct file **files = BPF_CORE_READ(task, files, fdt, fd);
	struct file *file = 0;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}
