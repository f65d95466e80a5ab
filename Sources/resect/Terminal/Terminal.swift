#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// What is known of the terminal.
enum Terminal {
    /// The columns of the terminal behind a file descriptor, asked for anew; `nil` when it is none.
    static func width(of descriptor: Int32) -> Int? {
        guard isatty(descriptor) != 0 else { return nil }
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// The columns for text on standard output: those of the terminal, of COLUMNS, or 80.
    static var textWidth: Int { resultWidth ?? 80 }

    /// The columns for a result: those of COLUMNS or of the terminal; `nil` in a file or a pipe, where it may be wide.
    static var resultWidth: Int? {
        if let columns = value("COLUMNS").flatMap({ Int($0) }), columns > 0 { return columns }
        return width(of: STDOUT_FILENO)
    }

    /// The value of an environment variable; `nil` when it is not set or empty.
    static func value(_ variable: String) -> String? {
        guard let value = getenv(variable), value.pointee != 0 else { return nil }
        return String(cString: value)
    }
}
