// inotify(7), for whoever wants to know that something changed in a folder, and not what.
#ifndef TRAMMEL_INOTIFY_H
#define TRAMMEL_INOTIFY_H

enum trammel_inotify_seen { TRAMMEL_INOTIFY_CHANGE = 1, TRAMMEL_INOTIFY_BELL = 2 };

// Returns a descriptor, closed on exec, or the negated errno.
int trammel_inotify_open(void);

// Watches what is in a folder: files that come, go, or are written. Returns the watch, the same one for the same folder,
// or the negated errno.
int trammel_inotify_watch(int inotify, const char *folder);

// Watches a folder for names that come and go only.
int trammel_inotify_watch_names(int inotify, const char *folder);

void trammel_inotify_forget(int inotify, int watch);

// Waits until something has changed, `bell` can be read, or the time is over: which of them, or 0. Every change up to
// then is used up. A negative descriptor is not waited for.
int trammel_inotify_wait(int inotify, int bell, int milliseconds);

#endif
