import Testing
import TrammelCore

@Suite("Who a workload is")
struct WorkloadTests {
    private static func identity(_ labels: [String: String]) -> WorkloadIdentity {
        WorkloadIdentity(name: WorkloadName(namespace: "shop", name: "cart-7f"), labels: labels)
    }

    @Test("names are read with their namespace and sorted by it first")
    func names() {
        let sorted = [("a", "z"), ("b", "a"), ("b", "b"), ("b-a", "a"), ("ba", "a")].map {
            WorkloadName(namespace: $0.0, name: $0.1)
        }
        #expect(sorted.reversed().sorted() == sorted)
        #expect(sorted.map(\.description) == ["a/z", "b/a", "b/b", "b-a/a", "ba/a"])
        // By their parts: as texts, "b-a/a" would come before "b/a".
        #expect(sorted.map(\.description).sorted() != sorted.map(\.description))
    }

    /// Each name where Istio looks for it, the first that is there.
    @Test("the canonical service falls back from label to label to the name")
    func service() {
        var labels = [
            "service.istio.io/canonical-name": "first", "app.kubernetes.io/name": "second", "app": "third",
            "name": "nothing",
        ]
        for (label, expected) in [
            ("service.istio.io/canonical-name", "first"), ("app.kubernetes.io/name", "second"), ("app", "third"),
        ] {
            #expect(Self.identity(labels).canonicalService == expected)
            labels[label] = nil
        }
        #expect(Self.identity(labels).canonicalService == "cart-7f")
    }

    @Test("the canonical revision falls back from label to label to latest")
    func revision() {
        var labels = [
            "service.istio.io/canonical-revision": "first", "app.kubernetes.io/version": "second", "version": "third",
        ]
        for (label, expected) in [
            ("service.istio.io/canonical-revision", "first"), ("app.kubernetes.io/version", "second"),
            ("version", "third"),
        ] {
            #expect(Self.identity(labels).canonicalRevision == expected)
            labels[label] = nil
        }
        #expect(Self.identity(labels).canonicalRevision == "latest")
    }

    @Test("who names no service account has the default one")
    func serviceAccount() { #expect(Self.identity([:]).serviceAccount == "default") }
}
