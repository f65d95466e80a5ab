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
        Interruption.cleanUp { die(of: number) }
    }

    /// Ends the program by a signal, so that a shell that runs it in a loop sees that it was interrupted.
    private static func die(of number: Int32) -> Never {
        if number == SIGINT {
            Progress.clear()
            let resumes = CommandLine.arguments.contains("--resume")
            // Another thread may hold the locks of other output.
            let text = "resect: interrupted\n" + (resumes ? "resect: hint: the same command goes on from here\n" : "")
            _ = Array(text.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
        }
        // A core file of mapped models would be as large as they are.
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(coreLimit, &none)
        signal(number, SIG_DFL)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        kill(getpid(), number)
        leave(status: 128 + number)
    }

    #if canImport(Glibc)
        private static let coreLimit = __rlimit_resource_t(RLIMIT_CORE.rawValue)
    #else
        private static let coreLimit = RLIMIT_CORE
    #endif

    /// Ends the program immediately.
    static func leave(status: Int32) -> Never { _exit(status) }
}
