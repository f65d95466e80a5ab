internal import Checkpoints
internal import Formats
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Answers go to standard output, everything else to standard error.
enum Output {
    private static let pending = Mutex<[UInt8]>([])

    /// A line of the answer.
    static func line(_ text: String = "") {
        let full = pending.withLock { bytes in
            bytes += Array(text.utf8)
            bytes.append(0x0A)
            return bytes.count > 1 << 16
        }
        if full { flush() }
    }

    /// The answer as one JSON object, with the control characters that JSON allows in strings escaped too.
    static func json(_ object: JSONObject) {
        var text = String.UnicodeScalarView()
        for scalar in JSON.object(object).standard.compact.unicodeScalars {
            if 0x7F..<0xA0 ~= scalar.value {
                text.append(contentsOf: "\\u00\(String(scalar.value, radix: 16))".unicodeScalars)
            } else {
                text.append(scalar)
            }
        }
        line(String(text))
    }

    /// Forgets what is pending: the answer does not hold.
    static func discard() { pending.withLock { $0 = [] } }

    /// Writes what is pending. A reader that has gone ends the program quietly.
    static func flush() {
        let bytes = pending.withLock { pending in
            defer { pending = [] }
            return pending
        }
        bytes.withUnsafeBytes(send)
    }

    /// Writes bytes to standard output, at once. A reader that has gone ends the program quietly.
    static func send(_ bytes: UnsafeRawBufferPointer) {
        var done = 0
        while done < bytes.count {
            let count = write(STDOUT_FILENO, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EPIPE { Signals.leave(status: 0) }
            guard count > 0 else {
                complain(.system("cannot write", file: "standard output", errno))
                Signals.leave(status: 2)
            }
            done += count
        }
    }

    /// Whether somebody looks at standard output.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) != 0 }

    /// A message on standard error, on one line whatever names are in it.
    static func message(_ text: String) {
        flush()
        let bytes = Array(("resect: " + text.escapingControls + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// An error, with its hint on a line of its own.
    static func complain(_ error: CheckpointError) {
        Progress.clear()
        message(error.description)
        if let hint = error.hint { message("hint: " + hint) }
    }

    /// Whether somebody looks at standard output, and wants colours.
    static var isColoured: Bool { isatty(STDOUT_FILENO) != 0 && getenv("NO_COLOR") == nil }

    /// Whether somebody looks at standard error.
    static var isWatched: Bool { isatty(STDERR_FILENO) != 0 }
}
