# cython: language_level=3
"""A window on a file: its bytes as they lie in the page cache, not copied.

A file may become shorter while it is looked at, and a disk may fail: the system then answers the touch of such a page by
SIGBUS, which would end the process. The pages of windows become zeros instead, and the window says from where on (`lost`).
Any other SIGBUS is left to who had it before.
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
    #define WINDOWS 1024

    static struct { char *volatile begin; char *volatile end; char *volatile lost; } windows[WINDOWS];
    static struct sigaction before;
    static long page;
    static int passed_on;

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
        /* Who had it before may hand it back, and would get it again for ever. */
        if (passed_on++)
            signal(SIGBUS, SIG_DFL);
        else
            sigaction(SIGBUS, &before, NULL);
        (void) number;
        (void) context;
    }

    /* Others may have taken the signal meanwhile (faulthandler does). */
    static void guard(void)
    {
        struct sigaction action, now;
        page = sysconf(_SC_PAGESIZE);
        sigaction(SIGBUS, NULL, &now);
        if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_bus_error)
            return;
        before = now;
        memset(&action, 0, sizeof action);
        action.sa_sigaction = on_bus_error;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGBUS, &action, NULL);
    }

    /* A place for a window, where there is nothing yet, or -1. Only one thread at a time may ask. */
    static int claim_window(void)
    {
        int i = 0;
        guard();
        while (i < WINDOWS && windows[i].begin)
            i++;
        if (i == WINDOWS) {
            errno = ENOMEM;
            return -1;
        }
        windows[i].end = windows[i].begin = (char *) 1;
        return i;
    }

    /* Where there is something now, or with errno no place any more. */
    static int open_window(int i, int file, long long offset, size_t size)
    {
        char *begin = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, offset);
        if (begin == MAP_FAILED) {
            windows[i].begin = NULL;
            return -1;
        }
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
    int claim_window() noexcept
    int open_window(int place, int file, long long offset, size_t size) noexcept nogil
    void close_window(int place) noexcept
    char *window_begin(int place) noexcept
    long long window_lost(int place) noexcept

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.exc cimport PyErr_SetFromErrno


cdef class Window:
    """Bytes of a file that lies in the file system, from `offset` on, which is a multiple of the page size, as a buffer that cannot be written to.

    OSError: it cannot be mapped, or there are too many.
    """

    cdef int place
    cdef Py_ssize_t size

    def __cinit__(self, int file, int64_t offset, Py_ssize_t size):
        self.size = size
        self.place = claim_window()
        if self.place >= 0:
            with nogil:
                self.place = open_window(self.place, file, offset, size)
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
