#define _GNU_SOURCE
#include "trammel_peer.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

int trammel_peer_credentials(int fd, struct trammel_peer *peer) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return errno;
    peer->pid = credentials.pid;
    peer->uid = credentials.uid;
    peer->gid = credentials.gid;
    return 0;
}

int trammel_peer_groups(int fd, uint32_t *groups, uint32_t *count) {
    socklen_t length = (socklen_t)(*count * sizeof *groups);
    int result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) == 0 ? 0 : errno;
    if (result == 0 || result == ERANGE) *count = (uint32_t)(length / sizeof *groups);
    return result;
}

int trammel_group_id(const char *name, uint32_t *gid) {
    struct group entry, *found = NULL;
    // A group's members stand in the buffer too, so a large group needs a large one.
    for (size_t size = 4096; size <= (4u << 20); size *= 4) {
        char *buffer = malloc(size);
        if (buffer == NULL) return ENOMEM;
        int result = getgrnam_r(name, &entry, buffer, size, &found);
        if (result == 0 && found != NULL) *gid = entry.gr_gid;
        free(buffer);
        if (result == 0) return found == NULL ? ENOENT : 0;
        if (result != ERANGE) return result;
    }
    return ERANGE;
}
