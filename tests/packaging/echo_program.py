"""Run by tests/packaging with an installed wheel: prints the codec's kind after an echo."""

import trio_wsendpoint
from trio_wsendpoint import ClientEndpoint, ServerEndpoint

client, server = ClientEndpoint(), ServerEndpoint()
for data in "", "hello", "\u20ac" * 500, b"\xff" * 70_000, b"x" * 700_000:
    client.send_message(data)
    while frame := client.shift_write_queue():
        server.receive_data(frame.to_bytes())
    message = server.get_next_message()
    assert message is not None
    server.send_message(message.payload)
    while frame := server.shift_write_queue():
        client.receive_data(frame.to_bytes())
    echo = client.get_next_message()
    assert echo is not None
    assert echo.payload == data
print(trio_wsendpoint.codec_kind, trio_wsendpoint.__file__)
