/* Preloaded, makes flock local to a host name, as on file systems that do not pass locks between hosts.
 *
 * The lock of a file becomes a lock on one of its bytes, which the host's name chooses. Such locks belong to the open
 * file, as those of flock do: a child inherits them, and the last close gives them back.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static off_t byte_of_host(void)
{
    char name[256] = "";
    unsigned long hash = 5381;

    gethostname(name, sizeof name - 1);
    for (char *letter = name; *letter; letter++)
        hash = hash * 33 + (unsigned char)*letter;
    return (off_t)(hash & 0x3fffffff);
}

int flock(int descriptor, int operation)
{
    struct flock lock = {.l_whence = SEEK_SET, .l_start = byte_of_host(), .l_len = 1};
    int command = operation & LOCK_NB ? F_OFD_SETLK : F_OFD_SETLKW;

    switch (operation & ~LOCK_NB) {
    case LOCK_SH:
        lock.l_type = F_RDLCK;
        break;
    case LOCK_EX:
        lock.l_type = F_WRLCK;
        break;
    default:
        lock.l_type = F_UNLCK;
    }
    return fcntl(descriptor, command, &lock);
}
