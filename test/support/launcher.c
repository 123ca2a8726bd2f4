// Starts programs for the tests, in network namespaces, at a fraction of what it costs node: a
// small process forks quickly, needs no `ip netns exec` in between, and makes namespaces by itself.
//
// A request on standard input is a line and what it announces:
//
//   ID TIMEOUT NAMESPACE-LENGTH COUNT LENGTH INPUT-LENGTH
//   NAMESPACE-LENGTH bytes: path of the network namespace, or nothing
//   LENGTH bytes: COUNT arguments, each with a NUL at its end
//   INPUT-LENGTH bytes: the program's standard input
//
// The answer on standard output, when the program has ended (STATUS is -1 after TIMEOUT
// milliseconds):
//
//   ID STATUS OUTPUT-LENGTH ERROR-LENGTH
//   both outputs
//
// Two programs are its own: `netns-add PATH` and `netns-delete PATH`, as `ip netns` makes them, but
// with lo up. Requests are under way at the same time. All end with standard input, or with us.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMostRunning = 256, kMostArguments = 4096 };

struct Request {
  long id, timeout, namespace_length, count, length, input_length;
  char* namespace, *arguments, *input;
};

struct Running {
  long id;
  long deadline;
  pid_t pid;  // 0: the place is free
  int output, error;
  int timed_out;
};

static struct Running running[kMostRunning];
static char* buffer;
static size_t used, room;

static void die(const char* what) {
  perror(what);
  _exit(70);
}

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void write_all(int fd, const char* bytes, size_t length) {
  while (length > 0) {
    const ssize_t written = write(fd, bytes, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) die("write");
    bytes += written;
    length -= (size_t)written;
  }
}

static int enter(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) return -1;
  return close(fd);
}

static int lo_up(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request);
}

// A namespace lives while it is mounted, and everybody is to see the mount.
static int netns_add(const char* path) {
  mkdir("/run/netns", 0755);
  if (mount("", "/run/netns", "none", MS_SHARED | MS_REC, NULL) != 0) {
    if (errno != EINVAL || mount("/run/netns", "/run/netns", "none", MS_BIND | MS_REC, NULL) != 0 ||
        mount("", "/run/netns", "none", MS_SHARED | MS_REC, NULL) != 0)
      return -1;
  }
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_CREAT | O_EXCL, 0);
  if (fd < 0 || unshare(CLONE_NEWNET) != 0) return -1;
  return mount("/proc/self/ns/net", path, "none", MS_BIND, NULL) == 0 ? lo_up() : -1;
}

static int netns_delete(const char* path) {
  return umount2(path, MNT_DETACH) == 0 ? unlink(path) : -1;
}

static int is_own(const char* program, int (**work)(const char*)) {
  *work = strcmp(program, "netns-add") == 0      ? netns_add
          : strcmp(program, "netns-delete") == 0 ? netns_delete
                                                 : NULL;
  return *work != NULL;
}

// In the new process.
static void become(const struct Request* request, char** argv, int input) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (dup2(input, 0) < 0) die("standard input");
  int (*work)(const char*);
  if (is_own(argv[0], &work)) {
    if (argv[1] == NULL || work(argv[1]) != 0) die(argv[0]);
    _exit(0);
  }
  if (request->namespace_length > 0 && enter(request->namespace) != 0) die(request->namespace);
  execvp(argv[0], argv);
  die(argv[0]);
}

static struct Running* free_place(void) {
  for (int at = 0; at < kMostRunning; ++at) {
    if (running[at].pid == 0) return &running[at];
  }
  fputs("too many programs at once\n", stderr);
  _exit(70);
}

static void start(const struct Request* request) {
  static char* argv[kMostArguments + 1];
  char* next = request->arguments;
  for (long at = 0; at < request->count; ++at, next += strlen(next) + 1) argv[at] = next;
  argv[request->count] = NULL;

  const int input = memfd_create("input", MFD_CLOEXEC);
  write_all(input, request->input, (size_t)request->input_length);
  lseek(input, 0, SEEK_SET);
  struct Running* place = free_place();
  place->id = request->id;
  place->deadline = now() + request->timeout;
  place->timed_out = 0;
  place->output = memfd_create("output", MFD_CLOEXEC);
  place->error = memfd_create("error", MFD_CLOEXEC);
  // Appending, as several processes may write.
  fcntl(place->output, F_SETFL, O_APPEND);
  fcntl(place->error, F_SETFL, O_APPEND);
  place->pid = fork();
  if (place->pid < 0) die("fork");
  if (place->pid == 0) {
    if (dup2(place->output, 1) < 0 || dup2(place->error, 2) < 0) die("outputs");
    become(request, argv, input);
  }
  close(input);
}

static void send_file(int fd, off_t length) {
  if (length > 0) {
    char* bytes = mmap(NULL, (size_t)length, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) die("mmap");
    write_all(1, bytes, (size_t)length);
    munmap(bytes, (size_t)length);
  }
  close(fd);
}

static void answer(struct Running* place, int status) {
  struct stat output, error;
  if (fstat(place->output, &output) != 0 || fstat(place->error, &error) != 0) die("fstat");
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  char line[128];
  const int length =
      snprintf(line, sizeof line, "%ld %d %ld %ld\n", place->id, place->timed_out ? -1 : code,
               (long)output.st_size, (long)error.st_size);
  write_all(1, line, (size_t)length);
  send_file(place->output, output.st_size);
  send_file(place->error, error.st_size);
  place->pid = 0;
}

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    for (int at = 0; at < kMostRunning; ++at) {
      if (running[at].pid == pid) answer(&running[at], status);
    }
  }
}

// Kills what is over its time, and answers the milliseconds until the next is.
static int next_deadline(void) {
  long nearest = -1;
  for (int at = 0; at < kMostRunning; ++at) {
    struct Running* place = &running[at];
    if (place->pid == 0 || place->timed_out) continue;
    const long left = place->deadline - now();
    if (left <= 0) {
      place->timed_out = 1;
      kill(place->pid, SIGKILL);
    } else if (nearest < 0 || left < nearest) {
      nearest = left;
    }
  }
  return (int)nearest;
}

// Starts what has arrived whole, and keeps the rest.
static void take_requests(void) {
  size_t at = 0;
  for (;;) {
    const char* end = memchr(buffer + at, '\n', used - at);
    struct Request request;
    if (end == NULL) break;
    if (sscanf(buffer + at, "%ld %ld %ld %ld %ld %ld", &request.id, &request.timeout,
               &request.namespace_length, &request.count, &request.length,
               &request.input_length) != 6 ||
        request.count < 1 || request.count > kMostArguments) {
      fputs("a request that is none\n", stderr);
      _exit(70);
    }
    const size_t header = (size_t)(end + 1 - buffer) - at;
    const size_t body = (size_t)(request.namespace_length + request.length + request.input_length);
    if (used - at < header + body) break;
    // With room for the NUL behind it.
    char* copy = malloc(body + 1);
    memcpy(copy, buffer + at + header, body);
    request.namespace = strndup(copy, (size_t)request.namespace_length);
    request.arguments = copy + request.namespace_length;
    request.input = request.arguments + request.length;
    start(&request);
    free(request.namespace);
    free(copy);
    at += header + body;
  }
  memmove(buffer, buffer + at, used - at);
  used -= at;
}

static int read_more(void) {
  if (room - used < 65536) {
    room = 2 * room + 65536;
    buffer = realloc(buffer, room);
    if (buffer == NULL) die("realloc");
  }
  // One byte is left, so that sscanf() finds an end.
  const ssize_t got = read(0, buffer + used, room - used - 1);
  if (got <= 0) return 0;
  used += (size_t)got;
  buffer[used] = '\0';
  take_requests();
  return 1;
}

int main(void) {
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  struct pollfd sources[] = {{.fd = 0, .events = POLLIN},
                             {.fd = signalfd(-1, &children, SFD_CLOEXEC), .events = POLLIN}};
  for (;;) {
    if (poll(sources, 2, next_deadline()) < 0 && errno != EINTR) die("poll");
    if (sources[1].revents & POLLIN) {
      struct signalfd_siginfo ignored;
      if (read(sources[1].fd, &ignored, sizeof ignored) < 0) die("signalfd");
      reap();
    }
    if (sources[0].revents != 0 && !read_more()) return 0;
  }
}
