internal import Checkpoints
internal import Formats
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Results go to standard output, everything else to standard error.
enum Output {
    private static let pending = Mutex<[UInt8]>([])
    private static let isMuted = Mutex(false)

    /// Runs something whose results are not printed where `mutes` says so: a step on the way to another result.
    static func withoutResults(_ mutes: Bool, _ body: () throws -> Void) rethrows {
        isMuted.withLock { $0 = mutes }
        defer { isMuted.withLock { $0 = false } }
        try body()
    }

    /// Writes a line of the result.
    static func line(_ text: String = "") {
        guard !isMuted.withLock({ $0 }) else { return }
        let full = pending.withLock { bytes in
            bytes += Array(text.utf8)
            bytes.append(0x0A)
            return bytes.count > 1 << 16
        }
        if full { flush() }
    }

    /// Writes the result as one JSON object; control characters are escaped even where JSON allows them.
    static func json(_ object: JSONObject) {
        pending.withLock { bytes in
            bytes += JSON.object(object).standardLine
            bytes.append(0x0A)
        }
    }

    /// Writes the result as one JSON object whose last member is a long list. It is sent while it is made, so it cannot be
    /// discarded: whatever could be wrong has to be found before.
    ///
    /// - Parameter write: adds one element.
    static func json<Element>(
        _ object: JSONObject, _ key: String, _ elements: [Element], write: (Element, inout JSONWriter) -> Void
    ) {
        flush()
        var (object, writer) = (object, JSONWriter())
        object[key] = .array([])
        writer.add(.object(object))
        // Before the ends of the list and of the object.
        writer.removeLast(2)
        for (index, element) in elements.enumerated() {
            if index > 0 { writer.add(json: ",") }
            write(element, &writer)
            guard writer.bytes.count > 1 << 16 else { continue }
            writer.bytes.withUnsafeBytes(send)
            writer.removeAll()
        }
        writer.add(json: "]}\n")
        writer.bytes.withUnsafeBytes(send)
    }

    /// Discards pending output, which is not valid.
    static func discard() { pending.withLock { $0 = [] } }

    /// Writes pending output. Ends the program quietly when the reader has closed the pipe.
    static func flush() {
        let bytes = pending.withLock { pending in
            defer { pending = [] }
            return pending
        }
        bytes.withUnsafeBytes(send)
    }

    /// Writes bytes of a checkpoint to standard output at once.
    ///
    /// - Throws: when the reader has closed the pipe: it has not got all of the file.
    static func sendChecked(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
        guard !send(bytes, endsQuietly: false) else { return }
        throw CheckpointError(file: "standard output", "was closed by its reader before the end of the file")
    }

    /// Writes bytes to standard output at once. Ends the program quietly when the reader has closed the pipe.
    static func send(_ bytes: UnsafeRawBufferPointer) { _ = send(bytes, endsQuietly: true) }

    /// Writes bytes; false when the reader has closed the pipe.
    private static func send(_ bytes: UnsafeRawBufferPointer, endsQuietly: Bool) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = write(STDOUT_FILENO, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EPIPE {
                guard endsQuietly else { return false }
                Interruption.cleanUp { Signals.leave(status: 0) }
            }
            guard count > 0 else {
                complain(.system("cannot write", file: "standard output", errno))
                Interruption.cleanUp { Signals.leave(status: 2) }
            }
            done += count
        }
        return true
    }

    /// Writes a piece of a text at once. On a terminal control characters are escaped, except line breaks and tabs.
    static func stream(_ text: String) {
        var shown = text
        if isTerminal {
            shown = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
                line.split(separator: "\t", omittingEmptySubsequences: false).map { String($0).escapingControls }
                    .joined(separator: "\t")
            }.joined(separator: "\n")
        }
        shown.withUTF8 { send(UnsafeRawBufferPointer($0)) }
    }

    /// Whether standard output is a terminal.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) != 0 }

    /// Writes a message to standard error on one line; control characters in names are escaped.
    static func message(_ text: String) {
        flush()
        let bytes = Array(("resect: " + text.escapingControls + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// Writes an error, and its hint on a separate line.
    static func complain(_ error: CheckpointError) {
        Progress.clear()
        message(error.description)
        if let hint = error.hint { message("hint: " + hint) }
    }

    /// Whether standard error is a terminal.
    static var isWatched: Bool { isatty(STDERR_FILENO) != 0 }
}
