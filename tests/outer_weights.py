"""TFLite files whose weights stand behind the graph, as the converter of quantized ones writes them."""


def with_external_buffers(data: bytes) -> bytes:
    """The model with every weight behind its tables."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def pack(places: dict[int, tuple[int, int]]) -> bytes:
        model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
        for index, place in places.items():
            model.buffers[index].data = None
            model.buffers[index].offset, model.buffers[index].size = place
        builder = flatbuffers.Builder(len(data))
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    contents = {i: bytes(b.data) for i, b in enumerate(model.buffers) if b.data is not None and len(b.data) > 0}
    end = -(-len(pack(dict.fromkeys(contents, (2, 2)))) // 16) * 16
    places, tail = {}, b""
    for index, content in contents.items():
        places[index] = (end + len(tail), len(content))
        tail += content.ljust(-(-len(content) // 16) * 16, b"\0")
    return pack(places).ljust(end, b"\0") + tail
