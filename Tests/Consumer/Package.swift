// swift-tools-version: 6.2
import PackageDescription

// A package that uses the libraries as any other would: `make consumer` builds and runs it.
let package = Package(
    name: "Consumer",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "resect", path: "../..")],
    targets: [
        .executableTarget(
            name: "Consumer",
            dependencies: ["Checkpoints", "Surgery", "Analysis", "Healing"].map {
                .product(name: $0, package: "resect")
            },
            swiftSettings: [.enableUpcomingFeature("MemberImportVisibility")])
    ],
    swiftLanguageModes: [.v6]
)
