"""A window on a file: its bytes as they lie in the page cache, not copied.

A file may become shorter while it is looked at, and a disk may fail: the system then answers the touch of such a page by SIGBUS, which would end the process. The pages of windows become zeros instead,
and the window says from where on (`lost`). Any other SIGBUS is left to who had it before.
"""

from libc.stdint cimport int64_t

cdef extern from *:
    """
    #include <errno.h>
    #include <signal.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <unistd.h>

    #ifndef MAP_POPULATE
    #define MAP_POPULATE 0
    #endif
    #define WINDOWS 128

    static struct { char *volatile begin; char *volatile end; char *volatile lost; } windows[WINDOWS];
    static struct sigaction before;
    static long page;

    static void on_bus_error(int number, siginfo_t *info, void *context)
    {
        char *at = (char *) ((size_t) info->si_addr & ~((size_t) page - 1));
        int kept = errno;
        for (int i = 0; i < WINDOWS; i++) {
            if (windows[i].begin && at >= windows[i].begin && at < windows[i].end) {
                if (mmap(at, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
                    break;
                if (!windows[i].lost || at < windows[i].lost)
                    windows[i].lost = at;
                errno = kept;
                return;
            }
        }
        sigaction(SIGBUS, &before, NULL);
        (void) number;
        (void) context;
    }

    static void guard(void)
    {
        struct sigaction action;
        if (page)
            return;
        page = sysconf(_SC_PAGESIZE);
        memset(&action, 0, sizeof action);
        action.sa_sigaction = on_bus_error;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGBUS, &action, &before);
    }

    /* The place of a new window, or -1 with errno. */
    static int open_window(int file, long long offset, size_t size)
    {
        char *begin;
        int i = 0;
        guard();
        while (i < WINDOWS && windows[i].begin)
            i++;
        if (i == WINDOWS) {
            errno = ENOMEM;
            return -1;
        }
        begin = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, offset);
        if (begin == MAP_FAILED)
            return -1;
        windows[i].lost = NULL;
        windows[i].end = begin + size;
        windows[i].begin = begin;
        return i;
    }

    static void close_window(int i)
    {
        char *begin = windows[i].begin;
        windows[i].begin = NULL;
        munmap(begin, windows[i].end - begin);
    }

    static char *window_begin(int i) { return windows[i].begin; }
    static long long window_lost(int i) { return windows[i].lost ? windows[i].lost - windows[i].begin : -1; }
    """
    int open_window(int file, long long offset, size_t size) nogil
    void close_window(int place) noexcept
    char *window_begin(int place) noexcept
    long long window_lost(int place) noexcept

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.exc cimport PyErr_SetFromErrno


cdef class Window:
    """Bytes of a file that lies in the file system, from `offset` on, which is a multiple of the page size, as a buffer that cannot be written to. OSError: it cannot be mapped, or there are too many."""

    cdef int place
    cdef Py_ssize_t size

    def __cinit__(self, int file, int64_t offset, Py_ssize_t size):
        self.place = -1
        self.size = size
        with nogil:
            self.place = open_window(file, offset, size)
        if self.place < 0:
            PyErr_SetFromErrno(OSError)

    def __dealloc__(self):
        if self.place >= 0:
            close_window(self.place)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, window_begin(self.place), self.size, True, flags)

    @property
    def lost(self):
        """From which byte on there are zeros, since the file has nothing there any more; None as long as there is all."""
        cdef long long at = window_lost(self.place)
        return None if at < 0 else at
