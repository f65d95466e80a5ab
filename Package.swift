// swift-tools-version: 6.2
import PackageDescription

// The Makefile asks for this; those who depend on the package should not fail on a new compiler's warning.
let isStrict = Context.environment["RESECT_STRICT"] != nil
let settings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (isStrict ? [.treatAllWarnings(as: .error)] : [])

// The dependency law: an arrow in this file is the only way to import another target.
// Tests/FormatsTests/DependencyLawTests.swift holds the sources to it.
let package = Package(
    name: "resect",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "resect", targets: ["resect"]),
        .library(name: "Checkpoints", targets: ["Checkpoints"]),
        .library(name: "Surgery", targets: ["Surgery"]),
        .library(name: "Analysis", targets: ["Analysis"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        .target(
            name: "CFormats", path: "formats",
            exclude: ["README.md", "layer-settings.json", "architectures", "quants", "tokenizers"],
            sources: ["formats.c"]),
        .target(name: "CKernels"),
        .target(name: "CStorage"),
        .systemLibrary(
            name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
        .systemLibrary(
            name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"]), .brew(["xxhash"])]),
        .target(name: "Parallel", swiftSettings: settings),
        .target(name: "Formats", dependencies: ["CFormats"], swiftSettings: settings),
        .target(
            name: "Kernels", dependencies: ["Formats", "Parallel", "CKernels"],
            swiftSettings: settings),
        .target(
            name: "Checkpoints", dependencies: ["Formats", "Parallel", "CStorage", "CZstd", "CXXHash"],
            swiftSettings: settings),
        .target(name: "Surgery", dependencies: ["Checkpoints", "Kernels"], swiftSettings: settings),
        .target(name: "Tokenization", dependencies: ["Checkpoints"], swiftSettings: settings),
        .target(
            name: "Decoder", dependencies: ["Tokenization", "Checkpoints", "Kernels"],
            swiftSettings: settings),
        .target(name: "Analysis", dependencies: ["Decoder"], swiftSettings: settings),
        .executableTarget(
            name: "resect",
            dependencies: [
                "Surgery", "Analysis",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
        .testTarget(
            name: "FormatsTests", dependencies: ["Formats", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "ParallelTests", dependencies: ["Parallel", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "KernelsTests", dependencies: ["Kernels", "CKernels", "Checkpoints", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "CheckpointsTests", dependencies: ["Checkpoints", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "SurgeryTests", dependencies: ["Surgery", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "TokenizationTests", dependencies: ["Tokenization", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "DecoderTests", dependencies: ["Decoder", "Surgery", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "AnalysisTests", dependencies: ["Analysis", "Surgery", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "CLITests", dependencies: ["resect", "TestSupport"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu2x
)
