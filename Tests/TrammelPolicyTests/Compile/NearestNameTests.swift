import Testing

@testable import TrammelPolicy

@Suite("The name that was meant")
struct NearestNameTests {
    @Test(
        "the nearest one, if it is near enough",
        arguments: [
            ("reveiws", "reviews"), ("review", "reviews"), ("ratnigs", "ratings"), ("v22", "v2"), ("payments", nil),
            ("a", nil), ("", nil), ("reviewsreviews", nil),
        ] as [(String, String?)])
    func nearest(_ name: String, _ expected: String?) {
        #expect(NearestName.of(name, among: ["ratings", "reviews", "v1", "v2", "b"]) == expected)
    }

    @Test("of several as near the first in the alphabet, in whatever order they come")
    func ties() {
        #expect(NearestName.of("v9", among: ["v2", "v1", "v3"]) == "v1")
        #expect(NearestName.of("v9", among: ["v1", "v3", "v2"]) == "v1")
    }
}
