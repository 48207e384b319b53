// A connection by a child process that is not the agent: in another network namespace and another cgroup.
#ifndef TRAMMEL_PROBE_H
#define TRAMMEL_PROBE_H

#include <stdint.h>
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

#endif
