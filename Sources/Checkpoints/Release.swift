/// What is released.
package enum Release {
    /// The version, as `resect --version` prints it.
    package static let version = "0.1.0"
}
