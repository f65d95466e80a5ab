/// The files of fixtures/, which the tests only read.
public enum Fixture {
    /// The root of the repository.
    public static let root: String = {
        // Tests/TestSupport/Fixture.swift
        let components = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        return components.dropLast(3).joined(separator: "/")
    }()

    /// The path of a fixture.
    public static func path(_ name: String) -> String { root + "/fixtures/" + name }

    /// The trained model: Llama's architecture, 12 layers, bf16, tied embeddings.
    public static let model = path("kjv-7m")
}
