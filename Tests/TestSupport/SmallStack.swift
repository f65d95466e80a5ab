#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Work that a thread is given through a C pointer.
private final class Job {
    let run: () -> Void

    init(_ run: @escaping () -> Void) { self.run = run }
}

/// Runs `body` in a thread with a stack of 512 KiB, where runaway recursion does not get far.
public func onSmallStack<Result>(_ body: @escaping () -> Result) -> Result {
    var result: Result?
    withoutActuallyEscaping({ result = body() }) { run in
        let job = Unmanaged.passRetained(Job(run))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 512 << 10)
        var thread = pthread_t()
        let failed = pthread_create(
            &thread, &attributes,
            { context in
                let pointer: UnsafeMutableRawPointer? = context
                if let pointer { Unmanaged<Job>.fromOpaque(pointer).takeRetainedValue().run() }
                return nil
            }, job.toOpaque())
        precondition(failed == 0, "no thread can be started")
        pthread_join(thread, nil)
    }
    guard let result else { preconditionFailure("the thread has not run") }
    return result
}
