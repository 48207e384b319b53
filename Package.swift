// swift-tools-version: 6.2
import PackageDescription

// Every dependency earns its place; the reason stands beside it.
let dependencies: [Package.Dependency] = [
    // The transport: event loops, sockets, timers.
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    // One logging API for the agent and the libraries under it.
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    // Heap for the per-loop timers, OrderedDictionary for stable listings.
    .package(url: "https://github.com/apple/swift-collections", from: "1.3.0"),
    // The command lines of `trammel` and `trammeld`, their help, completions and man pages.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0"),
    // YAML with the line and column of every node, for errors that name the place.
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    // The control API's server, on the Unix socket.
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.20.0"),
    // The control API's client (`http+unix`).
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.30.0"),
]

// `scripts/check` and CI set this; a user with a newer compiler is not stopped by its new warnings.
let warningsAreErrors = Context.environment["TRAMMEL_WARNINGS_AS_ERRORS"] == "1"
let swiftSettings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        // Not MemberImportVisibility: a member of a C struct belongs to whichever module met its header first, which is
        // another one in a release build than in a debug build.
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    ] + (warningsAreErrors ? [.treatAllWarnings(as: .error)] : [])

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

let package = Package(
    name: "trammel",
    products: [
        .executable(name: "trammeld", targets: ["trammeld"]),
        .executable(name: "trammel", targets: ["trammel"]),
    ],
    dependencies: dependencies,
    targets: [
        // C, by module map or shim.
        .systemLibrary(
            name: "CNetfilter", pkgConfig: "libnftnl",
            providers: [.apt(["libmnl-dev", "libnftnl-dev", "libnetfilter-conntrack-dev"])]),
        // AES and SHA-256 for the first packets of QUIC, whose header protection is a bare block of AES. swift-crypto would
        // do as well, and would have every build compile the 250 files of a second BoringSSL beside NIOSSL's: for that,
        // a library of Debian's that GnuTLS keeps in good repair is enough.
        .systemLibrary(name: "CNettle", pkgConfig: "nettle", providers: [.apt(["nettle-dev"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .target(name: "CTrammelLinux"),
        // Regular expressions from users run in linear time: RE2, through a C face over its C++.
        .target(name: "CTrammelRE2", linkerSettings: [.linkedLibrary("re2")]),

        library("TrammelCore", ["CTrammelLinux"]),
        library("TrammelConfig", ["TrammelCore", "CSQLite", .product(name: "Yams", package: "Yams")]),
        library("TrammelPolicy", ["TrammelCore", "TrammelConfig", "CTrammelRE2"]),
        library("TrammelWire", ["TrammelCore", "CNettle"]),
        library("TrammelCapture", ["TrammelCore", "CNetfilter", "CTrammelLinux", logging]),
        library("TrammelTelemetry", ["TrammelCore"]),
        library(
            "TrammelProxy",
            [
                "TrammelCore", "TrammelConfig", "TrammelPolicy", "TrammelWire", "TrammelTelemetry", nioCore,
                nioPosix, logging,
                .product(name: "HeapModule", package: "swift-collections"),
            ]),
        library(
            "TrammelControlAPI",
            ["TrammelCore", nioCore, .product(name: "AsyncHTTPClient", package: "async-http-client")]),
        library(
            "TrammelControl",
            [
                "TrammelCore", "TrammelConfig", "TrammelControlAPI", "CTrammelLinux", nioCore, nioPosix, logging,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
            ]),
        library(
            "TrammelAgent",
            [
                "TrammelCore", "TrammelConfig", "TrammelPolicy", "TrammelCapture", "TrammelTelemetry", "TrammelProxy",
                "TrammelControl", "TrammelControlAPI", "TrammelWire", "CTrammelLinux", nioCore, nioPosix, logging,
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ]),
        library(
            "TrammelCommand",
            [
                "TrammelCore", "TrammelControlAPI", "TrammelConfig", "CTrammelRE2", arguments,
                .product(name: "Yams", package: "Yams"),
            ]),
        .executableTarget(name: "trammel", dependencies: ["TrammelCommand"], swiftSettings: swiftSettings),
        // It holds the command line as well, and is that where it is called by its name: so a package installs one file.
        .executableTarget(
            name: "trammeld", dependencies: ["TrammelAgent", "TrammelCommand", arguments], swiftSettings: swiftSettings),

        .target(
            name: "TrammelTestSupport", dependencies: ["TrammelCore", "CTrammelLinux", "TrammelControlAPI"],
            swiftSettings: swiftSettings),
        tests("TrammelCoreTests", ["TrammelCore", "TrammelTestSupport"]),
        tests("TrammelConfigTests", ["TrammelConfig", "TrammelTestSupport"]),
        tests("TrammelPolicyTests", ["TrammelPolicy", "TrammelTestSupport"]),
        // The parsers' fuzz targets: run by `swift test` for a bounded time, and by libFuzzer (Tests/Fuzz/run).
        .target(
            name: "TrammelFuzzTargets",
            dependencies: ["TrammelCore", "TrammelConfig", "TrammelControlAPI", "TrammelWire"],
            path: "Tests/Fuzz/Targets",
            swiftSettings: swiftSettings),
        tests("TrammelWireTests", ["TrammelWire", "TrammelFuzzTargets", "CNettle"]),
        // What rulesets must be, word for word: for the tests of the texts, and for those of the kernel that takes them.
        .target(
            name: "TrammelGoldenRules", dependencies: ["TrammelCapture", "TrammelCore"], path: "Tests/GoldenRules",
            swiftSettings: swiftSettings),
        tests("TrammelCaptureTests", ["TrammelCapture", "TrammelGoldenRules"]),
        tests("TrammelTelemetryTests", ["TrammelTelemetry", "TrammelTestSupport"]),
        tests(
            "TrammelProxyTests",
            [
                "TrammelTestSupport", "TrammelProxy", "TrammelWire", "TrammelPolicy", "TrammelConfig",
                "TrammelTelemetry", "TrammelCore",
                nioCore, nioPosix, nioEmbedded,
            ]),
        tests(
            "TrammelControlTests",
            ["TrammelControl", "TrammelControlAPI", "TrammelConfig", "TrammelCore", nioCore, nioPosix, logging]),
        tests(
            "TrammelAgentTests",
            [
                "TrammelAgent", "TrammelCapture", "TrammelConfig", "TrammelControl", "TrammelControlAPI", "TrammelCore",
                "TrammelPolicy", "TrammelProxy", "TrammelTelemetry", "TrammelTestSupport", "TrammelWire", nioCore,
                nioPosix,
                logging,
            ]),
        tests(
            "IntegrationTests",
            [
                "TrammelTestSupport", "TrammelControlAPI", "TrammelProxy", "TrammelAgent", "TrammelCore",
                "TrammelConfig",
                "TrammelPolicy", "TrammelTelemetry", "TrammelWire", nioCore, nioPosix,
            ]),
        // What needs root: rules, sockets and namespaces of the kernel's own.
        tests(
            "KernelTests",
            ["TrammelCapture", "TrammelCore", "TrammelGoldenRules", "TrammelTestSupport"]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
