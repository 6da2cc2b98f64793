/* A path as the process's root of mounts sees it, from the dentry up, without the text that user space gave. */
#pragma once
#include "sense.h"

#define PATH_DEPTH 32
#define PATH_HALF 4096

/* The write offset lives in map memory: the verifier then sees one unknown number per turn and can prune, where an
 * offset in a register makes it walk every length of every name. */
struct path_buffer {
	__u32 off;
	__u32 is_cut;
	char text[2 * PATH_HALF];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct path_buffer);
} path_scratch SEC(".maps");

/* Writes from the middle of the buffer down; the path is text[off .. PATH_HALF]. */
static __always_inline void walk(struct path_buffer *buffer, struct dentry *d, struct vfsmount *vfs)
{
	struct mount *m = container_of(vfs, struct mount, mnt);
	buffer->off = PATH_HALF;
	buffer->is_cut = 1;
	for (int i = 0; i < PATH_DEPTH; i++) {
		struct dentry *root = BPF_CORE_READ(m, mnt.mnt_root);
		if (d == root) {
			struct mount *parent = BPF_CORE_READ(m, mnt_parent);
			if (parent == m) {
				buffer->is_cut = 0;
				break;
			}
			d = BPF_CORE_READ(m, mnt_mountpoint);
			m = parent;
			continue;
		}
		struct dentry *parent = BPF_CORE_READ(d, d_parent);
		__u32 len = BPF_CORE_READ(d, d_name.len) & 255;
		const unsigned char *name = BPF_CORE_READ(d, d_name.name);
		__u32 off = buffer->off;
		if (parent == d) { /* not in any tree: a memfd has a name all the same */
			if (off == PATH_HALF && len) {
				off -= len;
				buffer->off = off;
				bpf_probe_read_kernel(buffer->text + (off & (PATH_HALF - 1)), len, name);
			}
			buffer->is_cut = 0;
			break;
		}
		if (off < len + 1) break;
		off -= len + 1;
		buffer->off = off;
		buffer->text[off & (PATH_HALF - 1)] = '/';
		bpf_probe_read_kernel(buffer->text + ((off + 1) & (PATH_HALF - 1)), len, name);
		d = parent;
	}
	if (buffer->off == PATH_HALF && !buffer->is_cut) {
		buffer->off = PATH_HALF - 1;
		buffer->text[PATH_HALF - 1] = '/';
	}
}
