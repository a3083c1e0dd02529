"""Memory that is asked for before it is needed: what lies beyond the caches takes about as long as a few packets."""

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define iplog_prefetch(address) __builtin_prefetch(address)
    #else
    #define iplog_prefetch(address) ((void) 0)
    #endif
    """
    void prefetch "iplog_prefetch"(const void *address) noexcept nogil

# So many packets or rows ahead a group is asked for, or a header; and an entry, once its group is there.
cdef enum:
    FAR = 16
    NEAR = 6
