/* A disk that can be cut off, be full, be slow or fail, for one process: preloaded, it stands between SQLite and the files.
 *
 * FAULT_DIR names the directory it stands before, FAULT_CONTROL a file of numbers shared with the test (see disk.py), FAULT_LOG
 * the file to which each change of a file, each finished sync and each send is appended, in the order in which they were done.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FAIL_SYNC, SLOW_SYNC_MS, IS_FULL, KILL_AT, SEEN, NUMBERS };

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static volatile int64_t *control;
static const char *directory;
static int log_fd = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FAULT_CONTROL"), *log = getenv("FAULT_LOG");
  directory = getenv("FAULT_DIR");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd >= 0) {
    void *found = mmap(NULL, NUMBERS * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (found != MAP_FAILED) control = found;
    close(fd);
  }
  if (log) log_fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static int64_t number(int which) { return control ? control[which] : 0; }

/* The name of a file of the directory behind fd, or NULL. */
static const char *name_of(int fd, char *buffer, size_t size) {
  char link[64];
  if (!directory) return NULL;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, buffer, size - 1);
  if (length <= 0) return NULL;
  buffer[length] = 0;
  size_t begins = strlen(directory);
  if (strncmp(buffer, directory, begins) || buffer[begins] != '/') return NULL;
  return buffer + begins + 1;
}

static void note(const char *kind, const char *name, int64_t at, const void *bytes, int64_t length) {
  char line[512];
  if (log_fd < 0) return;
  int size = snprintf(line, sizeof line, "%s %s %lld %lld\n", kind, name, (long long)at, (long long)length);
  struct iovec parts[2] = {{line, (size_t)size}, {(void *)bytes, bytes ? (size_t)length : 0}};
  if (REAL(writev)(log_fd, parts, 2) < 0) abort();
}

/* The n-th change of a file never happens: the process is killed before it. */
static void count(void) {
  if (control && ++control[SEEN] == control[KILL_AT]) kill(getpid(), SIGKILL);
}

static int is_too_much(int fd, int64_t end) {
  struct stat found;
  return number(IS_FULL) && fstat(fd, &found) == 0 && end > found.st_size;
}

#define CHANGE(type, call, kind, name, at, bytes, length, done) \
  pthread_mutex_lock(&order);                                   \
  count();                                                      \
  type result = call;                                           \
  int failed = errno;                                           \
  if (done) note(kind, name, at, bytes, length);                \
  pthread_mutex_unlock(&order);                                 \
  errno = failed;                                               \
  return result

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  char buffer[4096];
  const char *name = name_of(fd, buffer, sizeof buffer);
  if (!name) return REAL(pwrite64)(fd, bytes, size, at);
  if (is_too_much(fd, at + (int64_t)size)) { errno = ENOSPC; return -1; }
  CHANGE(ssize_t, REAL(pwrite64)(fd, bytes, size, at), "write", name, at, bytes, result, result > 0);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { return pwrite64(fd, bytes, size, at); }

int ftruncate64(int fd, off64_t size) {
  char buffer[4096];
  const char *name = name_of(fd, buffer, sizeof buffer);
  if (!name) return REAL(ftruncate64)(fd, size);
  CHANGE(int, REAL(ftruncate64)(fd, size), "truncate", name, size, NULL, 0, result == 0);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, int (*real)(int)) {
  char buffer[4096];
  const char *name = name_of(fd, buffer, sizeof buffer);
  if (!name) return real(fd);
  pthread_mutex_lock(&order);
  count();
  note("syncing", name, fd, NULL, 0); /* what is written from here on need not be in it */
  pthread_mutex_unlock(&order);
  if (number(SLOW_SYNC_MS)) {
    struct timespec pause = {number(SLOW_SYNC_MS) / 1000, number(SLOW_SYNC_MS) % 1000 * 1000000};
    nanosleep(&pause, NULL);
  }
  if (number(FAIL_SYNC)) { errno = EIO; return -1; }
  int result = real(fd), failed = errno;
  pthread_mutex_lock(&order);
  if (result == 0) note("synced", name, fd, NULL, 0);
  pthread_mutex_unlock(&order);
  errno = failed;
  return result;
}

int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int fsync(int fd) { return synced(fd, REAL(fsync)); }

int unlink(const char *path) {
  size_t begins = directory ? strlen(directory) : 0;
  if (!begins || strncmp(path, directory, begins) || path[begins] != '/') return REAL(unlink)(path);
  CHANGE(int, REAL(unlink)(path), "unlink", path + begins + 1, 0, NULL, 0, result == 0);
}

int rename(const char *from, const char *to) {
  size_t begins = directory ? strlen(directory) : 0;
  if (!begins || strncmp(from, directory, begins)) return REAL(rename)(from, to);
  CHANGE(int, REAL(rename)(from, to), "rename", to + begins + 1, 0, NULL, 0, result == 0);
}

/* An answer on its way: noted before it goes, with the port of whom it goes to. */
static void note_send(int fd, const void *bytes, size_t size) {
  struct sockaddr_in peer;
  socklen_t length = sizeof peer;
  char port[16];
  if (log_fd < 0 || getpeername(fd, (struct sockaddr *)&peer, &length) || peer.sin_family != AF_INET) return;
  snprintf(port, sizeof port, "%d", ntohs(peer.sin_port));
  pthread_mutex_lock(&order);
  note("send", port, 0, bytes, (int64_t)size);
  pthread_mutex_unlock(&order);
}

ssize_t write(int fd, const void *bytes, size_t size) {
  char buffer[4096];
  const char *name = name_of(fd, buffer, sizeof buffer);
  if (name && number(IS_FULL)) { errno = ENOSPC; return -1; }
  if (!name) note_send(fd, bytes, size);
  return REAL(write)(fd, bytes, size);
}

ssize_t writev(int fd, const struct iovec *parts, int number_of) {
  for (int n = 0; n < number_of; n++) note_send(fd, parts[n].iov_base, parts[n].iov_len);
  return REAL(writev)(fd, parts, number_of);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags) {
  note_send(fd, bytes, size);
  return REAL(send)(fd, bytes, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  for (size_t n = 0; n < message->msg_iovlen; n++) note_send(fd, message->msg_iov[n].iov_base, message->msg_iov[n].iov_len);
  return REAL(sendmsg)(fd, message, flags);
}

int posix_fallocate64(int fd, off64_t at, off64_t size) {
  char buffer[4096];
  if (name_of(fd, buffer, sizeof buffer) && is_too_much(fd, at + size)) return ENOSPC;
  return REAL(posix_fallocate64)(fd, at, size);
}

int posix_fallocate(int fd, off_t at, off_t size) { return posix_fallocate64(fd, at, size); }
