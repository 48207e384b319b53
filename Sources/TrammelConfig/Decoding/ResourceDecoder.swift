/// What a batch of documents decoded to.
package struct DecodedBatch: Sendable {
    /// In the order of the documents.
    package var resources: [Resource]
    package var warnings: [ConfigError]

    package init(resources: [Resource] = [], warnings: [ConfigError] = []) {
        self.resources = resources
        self.warnings = warnings
    }
}

/// From the text of a file to typed resources, or to every error in it.
package enum ResourceDecoder {
    /// - Parameters:
    ///   - bytes: YAML or JSON, any number of documents, `List`s among them.
    ///   - file: its path, or `-`, or `api`, as messages and `explain` shall name it.
    /// - Throws: `ConfigErrors` with all that is wrong; nothing is decoded then.
    package static func decode(
        _ bytes: some Collection<UInt8>, file: String, options: DecodingOptions = DecodingOptions()
    ) throws(ConfigErrors) -> DecodedBatch {
        try decode([(file, Array(bytes))], options: options)
    }

    package static func decode(
        _ text: String, file: String, options: DecodingOptions = DecodingOptions()
    ) throws(ConfigErrors) -> DecodedBatch {
        try decode([(file, Array(text.utf8))], options: options)
    }

    /// Several files as one batch.
    package static func decode(
        _ files: [(file: String, bytes: [UInt8])], options: DecodingOptions = DecodingOptions()
    ) throws(ConfigErrors) -> DecodedBatch {
        var batch = BatchDecoder(options: options)
        for (file, bytes) in files {
            let isPlace = !options.readsSourceAnnotation
            for outcome in DocumentReader.read(bytes, file: file, limits: options.limits, readsStamps: !isPlace) {
                switch outcome {
                case .failure(let error): batch.add(error)
                case .success(let document): batch.add(document, file: file)
                }
            }
        }
        return try batch.finish()
    }

    /// One document that has been decoded before, as the store gives it back.
    package static func decode(
        stored document: ConfigNode, file: String, options: DecodingOptions
    ) throws(ConfigErrors) -> Resource {
        var batch = BatchDecoder(options: options)
        batch.add(DocumentReader.Document(root: document, stamp: nil), file: file)
        let decoded = try batch.finish()
        guard let resource = decoded.resources.first else {
            throw ConfigErrors(errors: [], warnings: decoded.warnings)
        }
        return resource
    }
}

/// Gathers resources, errors and warnings over the documents of one batch.
private struct BatchDecoder {
    let options: DecodingOptions
    private var resources: [Resource] = []
    private var errors: [ConfigError] = []
    private var warnings: [ConfigError] = []
    private var truncated = false
    private var seen: [ResourceKey: SourceLocation] = [:]

    init(options: DecodingOptions) { self.options = options }

    mutating func add(_ error: ConfigError) {
        if errors.count < options.maxErrors { errors.append(error) } else { truncated = true }
    }

    mutating func add(_ document: DocumentReader.Document, file: String) {
        add(document.root, file: document.stamp?.file ?? file, isStamped: document.stamp != nil, depth: 0)
    }

    private mutating func add(_ root: ConfigNode, file: String, isStamped: Bool, depth: Int) {
        var root = root
        var file = file
        if !isStamped, options.readsSourceAnnotation, let stamp = SourceStamp(annotationOf: root) {
            file = stamp.file
            root = root.shifted(by: stamp.line - Int(root.position.line))
        }
        let context = DecodingContext(options: options, file: file)
        let document = DocumentDecoder(context: context).decode(root)
        switch document {
        case .resource(let resource):
            if let first = seen[resource.key] {
                context.error(
                    .duplicate, at: root.position, "declared twice in one apply, first at \(first)",
                    hint: "keep one of them")
            } else {
                seen[resource.key] = resource.location
                resources.append(resource)
            }
        case .list(let items):
            if depth > 0 {
                context.error(.badValue, at: root.position, "found a List inside a List", hint: "write its items out")
            } else {
                for item in items { add(item, file: file, isStamped: isStamped, depth: 1) }
            }
        case .nothing:
            break
        }
        context.errors.forEach { add($0) }
        warnings += context.warnings.prefix(max(0, options.maxErrors - warnings.count))
    }

    consuming func finish() throws(ConfigErrors) -> DecodedBatch {
        guard errors.isEmpty else {
            throw ConfigErrors(errors: errors, truncated: truncated, warnings: warnings)
        }
        return DecodedBatch(resources: resources, warnings: warnings)
    }
}
