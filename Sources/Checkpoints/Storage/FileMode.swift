#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Who may read and write a file. An output that replaces another one keeps it.
enum FileMode {
    /// Gives an open file or folder the mode of what it is going to replace; nothing where there is none of its kind.
    ///
    /// - Parameter isFinished: whether nobody is going to write it any more; until then its owner may.
    static func keep(of target: String, on descriptor: Int32, isFinished: Bool) {
        var (old, new) = (stat(), stat())
        guard stat(target, &old) == 0, fstat(descriptor, &new) == 0, old.st_mode & S_IFMT == new.st_mode & S_IFMT else {
            return
        }
        let owner: mode_t = old.st_mode & S_IFMT == S_IFDIR ? 0o700 : 0o600
        fchmod(descriptor, old.st_mode & 0o7777 | (isFinished ? 0 : owner))
    }
}
