import Testing
import TrammelCore

@Suite("Errors that speak to a person")
struct TrammelErrorTests {
    @Test("what happened comes first, then what to do about it")
    func text() {
        let bare = TrammelError(.notFound, code: "netns-unknown", "there is no network namespace named a")
        #expect("\(bare)" == "there is no network namespace named a")
        let hinted = TrammelError(
            .conflict, code: "netns-attached", "it is attached already, as default/a", hint: "detach it first")
        #expect("\(hinted)" == "it is attached already, as default/a; detach it first")
        #expect("\(hinted as any Error)" == hinted.description)
    }

    @Test("errors are the same when everything of them is")
    func equality() {
        let error = TrammelError(.invalid, code: "a", "m", hint: "h")
        #expect(error == TrammelError(.invalid, code: "a", "m", hint: "h"))
        for other in [
            TrammelError(.internal, code: "a", "m", hint: "h"), TrammelError(.invalid, code: "b", "m", hint: "h"),
            TrammelError(.invalid, code: "a", "n", hint: "h"), TrammelError(.invalid, code: "a", "m"),
        ] {
            #expect(error != other)
        }
    }
}
