"""Records as TensorBoard's own writer makes them, for crates/training/src/tensorboard/tests.rs."""

import io

from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

WALL_TIME = 1700000000.25
Summary, Metadata = summary_pb2.Summary, summary_pb2.SummaryMetadata


def show(name, **fields):
    out = io.BytesIO()
    RecordWriter(out).write(event_pb2.Event(wall_time=WALL_TIME, **fields).SerializeToString())
    print(name, out.getvalue().hex())


show("version", file_version="brain.Event:2")
show("start", session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
values = [Summary.Value(tag="train/loss", simple_value=5.912), Summary.Value(tag="valid/P@1", simple_value=0.0)]
show("scalars", step=300, summary=Summary(value=values))
tensor = tensor_pb2.TensorProto(
    dtype=7,
    tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)]),
    string_val=[b"    seed = 1\n"],
)
metadata = Metadata(plugin_data=Metadata.PluginData(plugin_name="text"))
show("text", summary=Summary(value=[Summary.Value(tag="plan/text_summary", tensor=tensor, metadata=metadata)]))
