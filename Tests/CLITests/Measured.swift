import TestSupport

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What a run of the program took, and what it said on each stream.
struct Measured {
    /// The exit status, or the negative number of the signal that ended it.
    let status: Int32
    let output: [UInt8]
    let errors: String
    /// Seconds of all processors together: other tests that run meanwhile do not count.
    let seconds: Double
    /// Seconds by the clock on the wall.
    let wallSeconds: Double
    /// The most private memory that a run may ask for, its stacks included: 32 MiB that any run takes, and 64 MiB that a file
    /// may ask for. An allocation beyond it fails, so that the program ends by a signal. (Darwin knows no such limit.)
    private static let memoryLimit = 96 << 20

    /// Runs the program in a folder, with nothing to read.
    init(_ arguments: [String], in folder: TemporaryFolder) {
        let streams = ["output", "errors"].map { folder(".\($0)") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        for (number, path) in streams.enumerated() {
            posix_spawn_file_actions_addopen(&actions, Int32(number + 1), path, O_WRONLY | O_CREAT | O_TRUNC, 0o666)
        }
        defer { posix_spawn_file_actions_destroy(&actions) }
        let shell = ["/bin/sh", "-c", "ulimit -d $0; exec \"$@\"", String(Measured.memoryLimit >> 10), Program.path]
        var words = (shell + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var variables = [strdup("SWIFT_BACKTRACE=enable=no"), strdup("LC_ALL=C"), nil]
        defer { for variable in variables { free(variable) } }
        var process = pid_t()
        let start = ContinuousClock.now
        let failed = posix_spawn(&process, "/bin/sh", &actions, nil, &words, &variables)
        precondition(failed == 0, "the program cannot be started")
        var code: Int32 = 0
        var usage = rusage()
        while wait4(process, &code, 0, &usage) < 0, errno == EINTR {}
        wallSeconds = (ContinuousClock.now - start) / .seconds(1)
        let signal = code & 0x7F
        status = signal == 0 ? code >> 8 & 0xFF : -signal
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        self.seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime)
        output = Files.read(streams[0])
        errors = String(decoding: Files.read(streams[1]), as: UTF8.self)
        for path in streams { unlink(path) }
    }

    /// What is wrong with how the program ended, in words; nothing when it gave an answer, or one error with its hint.
    func problems(secondLimit: Double) -> [String] {
        var problems: [String] = []
        if !(0...2).contains(status) { problems.append("ended with status \(status)") }
        if seconds > secondLimit { problems.append("took \(seconds) s") }
        let lines = errors.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        let complaints = lines.filter { !$0.hasPrefix("resect: hint: ") }
        if !lines.allSatisfy({ $0.hasPrefix("resect: ") }) || complaints.count != (status == 0 ? 0 : 1) {
            problems.append("said \(errors)")
        }
        let text = String(validating: output, as: UTF8.self)
        if text == nil || Measured.hasControls(text ?? "") || Measured.hasControls(errors) {
            problems.append("wrote control characters, or what is not UTF-8")
        }
        return problems
    }

    private static func hasControls(_ text: String) -> Bool {
        text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" || 0x7F..<0xA0 ~= $0.value }
    }
}
