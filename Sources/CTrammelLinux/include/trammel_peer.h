// The kernel's word about who is at the far end of a Unix socket.
#ifndef TRAMMEL_PEER_H
#define TRAMMEL_PEER_H

#include <stdint.h>

struct trammel_peer {
    int32_t pid;
    uint32_t uid;
    uint32_t gid;
};

// SO_PEERCRED of a connected Unix socket: the ids that the peer had when it connected. Returns 0, or the errno.
int trammel_peer_credentials(int fd, struct trammel_peer *peer);

// SO_PEERGROUPS of a connected Unix socket (Linux 4.13): the peer's supplementary groups. `*count` is the room in
// `groups` and becomes the number of groups. Returns 0, or the errno: ERANGE when there is too little room, and
// `*count` is then how much it takes.
int trammel_peer_groups(int fd, uint32_t *groups, uint32_t *count);

// The id of the group called `name`, through the system's name service. Returns 0, ENOENT when there is no such
// group, or another errno. May block where the name service does.
int trammel_group_id(const char *name, uint32_t *gid);

#endif
