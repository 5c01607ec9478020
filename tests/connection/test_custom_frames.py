"""Frames of an extension on a connection: a subclass of the endpoint that knows them."""

from __future__ import annotations

from trio_wsendpoint import (
    ClientEndpoint,
    ControlFrame,
    DataFrame,
    Frame,
    Message,
    ServerEndpoint,
)
from trio_wsendpoint.testing import connection_pair


class PictureFrame(DataFrame):
    opcode = 3
    type = "picture"


class MoodFrame(ControlFrame):
    opcode = 11
    type = "mood"


class MoodyServer(ServerEndpoint):
    frame_types = (PictureFrame, MoodFrame)

    def on_mood(self, frame: Frame) -> None:
        self.send_frame(MoodFrame(b"I feel " + frame.payload + b", too"))


class MoodyClient(ClientEndpoint):
    frame_types = (PictureFrame, MoodFrame)
    moods: tuple[bytes, ...] = ()

    def on_mood(self, frame: Frame) -> None:
        self.moods += (frame.payload,)


async def test_a_data_frame_of_an_extension_makes_messages_of_its_type():
    async with connection_pair(
        client={"endpoint_class": MoodyClient}, server={"endpoint_class": MoodyServer}
    ) as (client, server):
        client.endpoint.send_message(Message([PictureFrame(b"\x89PNG")]))
        await client.send("and a text")  # which lets the writer know
        message = await server.receive_message()
        assert (message.type, message.payload) == ("picture", b"\x89PNG")
        assert [type(frame) for frame in message.get_frames()] == [PictureFrame]
        assert await server.receive() == "and a text"


async def test_a_control_frame_of_an_extension_reaches_its_method_and_is_answered():
    async with connection_pair(
        client={"endpoint_class": MoodyClient}, server={"endpoint_class": MoodyServer}
    ) as (client, _):
        client.endpoint.send_frame(MoodFrame(b"fine"))
        assert await client.ping() == 0.0
        assert isinstance(client.endpoint, MoodyClient)
        assert client.endpoint.moods == (b"I feel fine, too",)
