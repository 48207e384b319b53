// The Linux system calls and socket options that Swift's Glibc overlay does not import.
#ifndef TRAMMEL_LINUX_H
#define TRAMMEL_LINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// setns(2) with CLONE_NEWNET: moves the calling thread, and it alone, into the network namespace `fd`.
// Returns 0, or the errno.
int trammel_enter_netns(int fd);

// unshare(2) with CLONE_NEWNET: gives the calling thread, and it alone, a network namespace of its own.
// Returns 0, or the errno.
int trammel_unshare_netns(void);

// Whether `fd` is an open network namespace (NS_GET_NSTYPE of ioctl_ns(2)).
int trammel_is_netns(int fd);

// pidfd_open(2). Returns a descriptor, or the errno negated.
int trammel_pidfd_open(pid_t pid);

// The path of the v2 cgroup with this id, by open_by_handle_at(2): an id is a file handle of that file system, of which
// `mount` is any open directory. Ends without a NUL. Returns its length, or the negated errno: ESTALE for one that is
// gone, EPERM without CAP_DAC_READ_SEARCH.
ssize_t trammel_cgroup_path(int mount, uint64_t id, char *path, size_t length);

// recvmsg(2) of one datagram with its sender and, where the socket asks for it (IP_RECVORIGDSTADDR,
// IPV6_RECVORIGDSTADDR), the destination it was sent to. The family of `destination` is AF_UNSPEC where the kernel
// gave none. `truncated` is 1 when the datagram was longer than `length`. Never blocks.
// Returns the number of bytes, or the negated errno.
//
// `sender` and `destination` are `struct sockaddr_storage`: naming it here would make this module, and no longer
// Glibc, the one that Swift knows the type from.
ssize_t trammel_receive_datagram(
    int fd, void *buffer, size_t length, void *sender, void *destination, int *truncated);

// sendmsg(2) of one datagram in two parts. `address` is a `struct sockaddr` of `address_length` bytes. Never blocks.
// Returns the number of bytes, or the negated errno.
ssize_t trammel_send_parts(
    int fd, const void *first, size_t first_length, const void *second, size_t second_length, const void *address,
    unsigned address_length);

/// malloc_trim(3): gives memory that nothing uses back to the kernel, holes in the middle of the heap included.
void trammel_give_memory_back(void);

/// Takes the program's own code out of this process's page tables, MADV_DONTNEED of madvise(2): what is run again is
/// mapped again from the page cache, and what only the start needed no longer counts as this process's memory.
void trammel_forget_code_of_start(void);

/// Another program, run to its end: `path` with `arguments` (ended by NULL, the program's name first), in the namespaces
/// of the calling thread and with nothing of this process's but three standard streams and a search path of the
/// system's folders. What it is told is `input`; what it says ends up in two files in memory, which the caller closes
/// and which are at their beginning. It is killed when it takes longer than `milliseconds`.
/// Returns 0 with `status` as waitpid(2) has it, or the errno: ETIMEDOUT when it was killed. Only 0 and ETIMEDOUT give
/// descriptors.
int trammel_run(
    const char *path, char *const *arguments, const void *input, size_t length, int milliseconds, int *output,
    int *errors, int *status);

#endif
