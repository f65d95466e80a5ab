#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The permissions of a file, which an output keeps when it replaces another one.
enum FileMode {
    /// Gives an open file or folder the mode of the one that it replaces, if that exists.
    ///
    /// - Parameter isFinished: whether it is complete; until then its owner may write it.
    static func keep(of target: String, on descriptor: Int32, isFinished: Bool) {
        var (old, new) = (stat(), stat())
        guard stat(target, &old) == 0, fstat(descriptor, &new) == 0, old.st_mode & S_IFMT == new.st_mode & S_IFMT else {
            return
        }
        let owner: mode_t = old.st_mode & S_IFMT == S_IFDIR ? 0o700 : 0o600
        fchmod(descriptor, old.st_mode & 0o7777 | (isFinished ? 0 : owner))
    }
}
