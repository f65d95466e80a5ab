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

// The Makefile asks git for this; a build without it says that it does not know its commit.
let commit = (Context.environment["RESECT_COMMIT"] ?? "").filter { $0.isLetter || $0.isNumber || $0 == "-" }

// The dependency law: Tests/FormatsTests/DependencyLawTests.swift names its arrows and holds the sources to them. Here stands
// everything that a target imports, also by way of another one: what is not named is not compiled again when it changes.
let checkpoints = ["Formats", "Parallel", "Checkpoints"]
let weights = checkpoints + ["Kernels"]
let surgery = weights + ["Weights"]
let decoder = surgery + ["Tokenization"]
let analysis = decoder + ["Decoder"]
let healing = analysis + ["Analysis", "Surgery"]

func dependencies(_ names: [String]) -> [Target.Dependency] { names.map { .target(name: $0) } }

let package = Package(
    name: "resect",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "resect", targets: ["resect"]),
        .library(name: "Checkpoints", targets: ["Checkpoints"]),
        .library(name: "Surgery", targets: ["Surgery"]),
        .library(name: "Analysis", targets: ["Analysis"]),
        .library(name: "Healing", targets: ["Healing"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        .target(
            name: "CFormats", path: "formats",
            exclude: ["README.md", "layer-settings.json", "modules.json", "architectures", "quants", "tokenizers"],
            sources: ["formats.c"]),
        .target(name: "CKernels"),
        .target(
            name: "CStorage",
            cSettings: commit.isEmpty ? [] : [.define("RESECT_COMMIT", to: "\"\(commit)\"")]),
        .target(name: "CTexts", exclude: ["texts.zst", "ORIGINS.md", "recipe"]),
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
        .target(name: "Weights", dependencies: dependencies(weights), swiftSettings: settings),
        .target(name: "Surgery", dependencies: dependencies(surgery), swiftSettings: settings),
        .target(name: "Tokenization", dependencies: dependencies(checkpoints), swiftSettings: settings),
        .target(name: "Decoder", dependencies: dependencies(decoder), swiftSettings: settings),
        .target(name: "Analysis", dependencies: dependencies(analysis + ["CTexts", "CZstd"]), swiftSettings: settings),
        .target(name: "Healing", dependencies: dependencies(healing + ["CTexts"]), swiftSettings: settings),
        .executableTarget(
            name: "resect",
            dependencies: dependencies(healing + ["Healing"]) + [
                .product(name: "ArgumentParser", package: "swift-argument-parser")
            ],
            swiftSettings: settings),
        .target(
            name: "TestSupport", dependencies: ["CXXHash"], path: "Tests/TestSupport", swiftSettings: settings),
        .target(
            name: "ModelSupport", dependencies: dependencies(checkpoints + ["TestSupport"]), path: "Tests/ModelSupport",
            swiftSettings: settings),
        .testTarget(
            name: "FormatsTests", dependencies: ["Formats", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "ParallelTests", dependencies: ["Parallel", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "KernelsTests", dependencies: dependencies(weights + ["CKernels", "TestSupport"]),
            swiftSettings: settings),
        .testTarget(
            name: "CheckpointsTests", dependencies: dependencies(checkpoints + ["TestSupport"]),
            swiftSettings: settings),
        .testTarget(
            name: "WeightsTests", dependencies: dependencies(surgery + ["TestSupport"]), swiftSettings: settings),
        .testTarget(
            name: "SurgeryTests", dependencies: dependencies(surgery + ["Surgery", "TestSupport"]),
            swiftSettings: settings),
        .testTarget(
            name: "TokenizationTests", dependencies: dependencies(decoder + ["TestSupport"]), swiftSettings: settings),
        .testTarget(
            name: "DecoderTests", dependencies: dependencies(analysis + ["Surgery", "ModelSupport", "TestSupport"]),
            swiftSettings: settings),
        .testTarget(
            name: "AnalysisTests", dependencies: dependencies(analysis + ["Analysis", "Surgery", "TestSupport"]),
            swiftSettings: settings),
        .testTarget(
            name: "HealingTests", dependencies: dependencies(healing + ["Healing", "ModelSupport", "TestSupport"]),
            swiftSettings: settings),
        .testTarget(
            name: "CLITests", dependencies: dependencies(healing + ["Healing", "resect", "TestSupport"]),
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu2x
)

// `make fuzz` asks for this: libFuzzer brings its own main, and nobody else needs the program.
if Context.environment["RESECT_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "fuzz", dependencies: ["Surgery", "Decoder", "TestSupport"], path: "Tests/Fuzzing",
            exclude: ["README.md", "corpora", "fuzz.sh", "make-corpora.py", "words.txt"], swiftSettings: settings))
}

// `make conformance` asks for this: the program whose states and logits are held against transformers.
if Context.environment["RESECT_STATES"] != nil {
    package.targets.append(
        .executableTarget(
            name: "states", dependencies: dependencies(analysis + ["Surgery"]), path: "Tests/States",
            swiftSettings: settings))
}

// `make bench` asks for this: the kernels of a heal have no command of their own.
if Context.environment["RESECT_BENCH"] != nil {
    package.targets.append(
        .executableTarget(
            name: "kernel-bench", dependencies: dependencies(["CKernels"] + weights),
            path: "Tests/Benchmarks/Kernels",
            swiftSettings: settings))
}
