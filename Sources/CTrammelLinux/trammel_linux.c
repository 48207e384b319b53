#define _GNU_SOURCE
#include "trammel_linux.h"

#include <errno.h>
#include <sched.h>

int trammel_enter_netns(int fd) { return setns(fd, CLONE_NEWNET) == 0 ? 0 : errno; }
