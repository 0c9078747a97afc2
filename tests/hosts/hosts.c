/* Preloaded into a process, lets it run on a host of its own choice: HOST_NAME is what it is called there, and
   HOST_LOCKS says how far flock reaches: "shared" (as it is) or "local" (to processes of the same host). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MOST 4096
static int aside[MOST]; /* of each descriptor with a lock: that of the host's own file, which is locked instead */

int gethostname(char *name, size_t length) {
    snprintf(name, length, "%s", getenv("HOST_NAME"));
    return 0;
}

int uname(struct utsname *system) {
    int (*real)(struct utsname *) = dlsym(RTLD_NEXT, "uname");
    int done = real(system);
    snprintf(system->nodename, sizeof system->nodename, "%s", getenv("HOST_NAME"));
    return done;
}

int flock(int descriptor, int operation) {
    int (*real)(int, int) = dlsym(RTLD_NEXT, "flock");
    const char *reach = getenv("HOST_LOCKS");
    if (!strcmp(reach, "shared")) return real(descriptor, operation);
    struct stat file;
    char path[1024];
    if (descriptor >= MOST || fstat(descriptor, &file)) return -1;
    snprintf(path, sizeof path, "%s/%s-%lu-%lu", getenv("HOST_FOLDER"), getenv("HOST_NAME"),
             (unsigned long)file.st_dev, (unsigned long)file.st_ino);
    if (!aside[descriptor]) aside[descriptor] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return real(aside[descriptor], operation);
}

int close(int descriptor) {
    int (*real)(int) = dlsym(RTLD_NEXT, "close");
    if (descriptor >= 0 && descriptor < MOST && aside[descriptor]) {
        real(aside[descriptor]);
        aside[descriptor] = 0;
    }
    return real(descriptor);
}
