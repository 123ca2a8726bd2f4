// Runs a command and writes the nanoseconds of CPU time that it took, user and system, with its
// start and its end, and the peak of its memory in bytes, to file descriptor 3. Node.js does not tell
// what a child process has used.
//
//   cost COMMAND [ARGUMENT...] 3>FILE

#define _GNU_SOURCE
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t nanoseconds(struct timeval time) {
  return 1000 * (1000000 * (int64_t)time.tv_sec + time.tv_usec);
}

int main(int argc, char** argv) {
  pid_t child = 0;
  int status = 0;
  struct rusage usage;
  const int error = argc < 2 ? 0 : posix_spawnp(&child, argv[1], NULL, NULL, argv + 1, environ);
  if (argc < 2 || error != 0) {
    fprintf(stderr, "cost: %s\n", argc < 2 ? "no command" : strerror(error));
    return 127;
  }
  if (wait4(child, &status, 0, &usage) != child) return 127;
  dprintf(3, "%lld %lld\n",
          (long long)(nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)),
          1024LL * usage.ru_maxrss);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
