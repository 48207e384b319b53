// A connection by a child process that is not the agent: in another network namespace and another cgroup.
#ifndef TRAMMEL_PROBE_H
#define TRAMMEL_PROBE_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct trammel_probe {
    pid_t child;
    // What the child tells comes from here: first its port (2 bytes, host order), then its result (4 bytes).
    int from;
    // One byte written here sends it on its way.
    int to;
    uint16_t port;
};

// Forks a child that enters the network namespace `netns` and the cgroup whose open cgroup.procs is `procs`, makes a
// TCP socket there, binds it to a port and waits for trammel_probe_connect. Returns 0, or the errno of what failed.
int trammel_probe_start(struct trammel_probe *probe, int netns, int procs, int family);

// Has the child connect to `target`, a socket address, and read what is said first. Returns 0 when that was `greeting`, -1 when it was
// something else, else the errno: ETIMEDOUT after `milliseconds`, ECONNREFUSED and the like. Ends the child.
int trammel_probe_connect(
    struct trammel_probe *probe, const void *target, unsigned int length, const char *greeting, int milliseconds);

// Ends a child that is not to connect after all.
void trammel_probe_stop(struct trammel_probe *probe);

// One of many connections that one child makes.
struct trammel_attempt {
    // The network namespace that it is made in.
    int netns;
    socklen_t length;
    struct sockaddr_storage target;
    // What it is made from: the port once it is bound, the address once it was tried.
    struct sockaddr_storage own;
    // 0 once it stands, or the errno of what failed: ETIMEDOUT for one that nobody has answered.
    int32_t result;
};

struct trammel_attempts {
    pid_t child;
    int from;
    int to;
    // In memory that the child has too.
    struct trammel_attempt *calls;
    size_t count;
};

// Forks a child that enters the cgroup whose open cgroup.procs is `procs` and binds a socket to a port for each of the
// calls, with netns, target and length as given. Returns 0, or the errno of what failed; then there is nothing to end.
int trammel_attempts_start(
    struct trammel_attempts *attempts, const struct trammel_attempt *calls, size_t count, int procs);

// Has the child connect all of them at once. Returns when each stands or has failed, after `milliseconds` at the latest.
// Those that stand do so until the end, with not a byte sent. Returns 0, or ECHILD when the child is no more.
int trammel_attempts_connect(struct trammel_attempts *attempts, int32_t milliseconds);

// Ends the child, and with it the connections.
void trammel_attempts_end(struct trammel_attempts *attempts);

#endif
