import TrammelConfig

/// From the text of a file to a set of resources, and back to text.
func fuzzResources(_ bytes: UnsafeRawBufferPointer) {
    let batch: DecodedBatch
    do throws(ConfigErrors) {
        batch = try ResourceDecoder.decode(Array(bytes), file: "f.yaml")
    } catch {
        require(!error.errors.isEmpty, "what is refused is refused for a reason")
        require(error.errors.count <= 100, "the errors that are listed are bounded")
        for issue in error.errors { check(issue) }
        return
    }
    for warning in batch.warnings { check(warning) }
    for resource in batch.resources { readBack(resource) }

    guard let applied = try? ResourceSet().applying(batch) else { return }
    for warning in applied.warnings { check(warning) }
    guard let again = try? applied.set.applying(batch) else {
        require(false, "what could be applied can be applied again")
        return
    }
    require(again.changes.allSatisfy { $0.outcome == .unchanged }, "the same again changes nothing")
    let restored = ResourceSet(entries: applied.set.listed(), version: applied.set.version)
    require(restored.check() == applied.set.check(), "a set that is read back has the same faults")
}

private func check(_ issue: ConfigError) {
    require(issue.location.line >= 1 && issue.location.column >= 1, "an issue has a place")
    require(!issue.message.isEmpty, "an issue says what it is")
    require(issue.description.utf8.count < 4000, "an issue is short, whatever was written")
}

private func readBack(_ resource: Resource) {
    for text in [resource.rendered().yaml(), resource.rendered().json()] {
        guard let read = try? ResourceDecoder.decode(text, file: "g.yaml"), read.resources.count == 1 else {
            require(false, "what is shown can be applied")
            return
        }
        require(read.resources[0].key == resource.key, "what is shown is the same resource")
        require(read.resources[0].rendered().says(sameAs: resource.rendered()), "what is shown says the same")
    }
}
