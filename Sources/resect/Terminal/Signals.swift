internal import Checkpoints

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Signal handling: an interrupted program removes its unfinished output.
enum Signals {
    private static let ending: [Int32] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]

    /// Starts a thread that waits for terminating signals; call it before any other thread starts.
    static func install() {
        // A closed pipe and an exceeded file size limit are reported as errors of the write.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        var set = sigset_t()
        sigemptyset(&set)
        for number in ending { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        #if canImport(Glibc)
            var thread = pthread_t()
        #else
            var thread: pthread_t?
        #endif
        let created = pthread_create(&thread, nil, { _ in Signals.wait() }, nil)
        guard created == 0 else {
            pthread_sigmask(SIG_UNBLOCK, &set, nil)
            return
        }
    }

    private static func wait() -> UnsafeMutableRawPointer? {
        var set = sigset_t()
        sigemptyset(&set)
        for number in ending { sigaddset(&set, number) }
        var number: Int32 = 0
        while sigwait(&set, &number) != 0 {}
        Interruption.cleanUp { leave(status: 128 + number) }
    }

    /// Ends the program immediately.
    static func leave(status: Int32) -> Never { _exit(status) }
}
