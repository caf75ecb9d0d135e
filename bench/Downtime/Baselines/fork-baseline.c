// A process with MIB mebibytes of touched private memory. For every line on stdin: fork(), the child ends at once, and stdout
// gets the microseconds until fork() had returned in the parent. What the parent of any fork-based clone waits for.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    size_t size = argc == 2 ? strtoul(argv[1], NULL, 10) << 20 : 0;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    // As guest memory is mapped: in pages of 4 KiB, whatever the host's policy.
    madvise(memory, size, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < size; at += 4096)
        *(size_t *)(memory + at) = at + 1;

    char line[16];
    while (fgets(line, sizeof line, stdin)) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        pid_t child = fork();
        clock_gettime(CLOCK_MONOTONIC, &after);
        if (child == 0)
            _exit(0);
        if (child < 0) {
            perror("fork");
            return 1;
        }
        waitpid(child, NULL, 0);
        printf("%ld\n", (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000);
        fflush(stdout);
    }
    return 0;
}
