"""The gRPC server: services, interceptor, health, reflection and message limits in one place."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from penult.v1 import (
    backbone_pb2,
    backbone_pb2_grpc,
    dataset_pb2,
    dataset_pb2_grpc,
    feature_pb2,
    feature_pb2_grpc,
    index_pb2,
    index_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
)
from penult_server.core.access import AccessControl
from penult_server.core.call_limits import CallLimits
from penult_server.core.metrics import NO_METER, Meter
from penult_server.core.tracing import Tracer
from penult_server.transport.backbone_service import BackboneService
from penult_server.transport.dataset_service import DatasetService
from penult_server.transport.feature_service import FeatureService
from penult_server.transport.index_service import IndexService
from penult_server.transport.interceptor import CallInterceptor
from penult_server.transport.job_service import JobService
from penult_server.transport.model_service import ModelService
from penult_server.transport.tls import Certificates

_SERVICES = (
    backbone_pb2.DESCRIPTOR.services_by_name["BackboneService"].full_name,
    dataset_pb2.DESCRIPTOR.services_by_name["DatasetService"].full_name,
    feature_pb2.DESCRIPTOR.services_by_name["FeatureService"].full_name,
    index_pb2.DESCRIPTOR.services_by_name["IndexService"].full_name,
    job_pb2.DESCRIPTOR.services_by_name["JobService"].full_name,
    model_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
)

_LOOKAHEAD_BYTES = 512 << 10


class Server:
    """Listens, says how healthy it is, and drains."""

    def __init__(
        self,
        *,
        features: FeatureService,
        backbones: BackboneService,
        datasets: DatasetService,
        indexes: IndexService,
        jobs: JobService,
        access: AccessControl,
        models: ModelService,
        max_message_bytes: int,
        limits: CallLimits,
        stall_seconds: float,
        keepalive_seconds: float,
        meter: Meter = NO_METER,
        tracer: Tracer | None = None,
    ) -> None:
        """Binds nothing yet. Must be made on the running event loop.

        A client that is silent for `keepalive_seconds` is asked whether it is there, and given half of that
        to answer.
        """
        self._interceptor = CallInterceptor(access, limits, stall_seconds, meter, tracer)
        self._server = grpc.aio.server(
            interceptors=[self._interceptor],
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", max_message_bytes),
                # Two servers on one port would share its calls at random; the second must fail instead.
                ("grpc.so_reuseport", 0),
                # What has come of a stream before anybody reads it waits in this process. Left to itself,
                # gRPC lets that grow with the speed of the line, to megabytes for each stream.
                ("grpc.http2.bdp_probe", 0),
                ("grpc.http2.lookahead_bytes", _LOOKAHEAD_BYTES),
                # A client that has vanished without a word is noticed, and frees what it held.
                ("grpc.keepalive_time_ms", int(1000 * keepalive_seconds)),
                ("grpc.keepalive_timeout_ms", int(500 * keepalive_seconds)),
                # Without this one, the answer to the question itself may take a minute.
                ("grpc.http2.ping_timeout_ms", int(500 * keepalive_seconds)),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.max_pings_without_data", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ],
        )
        self._health = health.aio.HealthServicer()
        by_name = _ByName(self._server)
        feature_pb2_grpc.add_FeatureServiceServicer_to_server(features, by_name)
        backbone_pb2_grpc.add_BackboneServiceServicer_to_server(backbones, by_name)
        dataset_pb2_grpc.add_DatasetServiceServicer_to_server(datasets, by_name)
        index_pb2_grpc.add_IndexServiceServicer_to_server(indexes, by_name)
        job_pb2_grpc.add_JobServiceServicer_to_server(jobs, by_name)
        model_pb2_grpc.add_ModelServiceServicer_to_server(models, by_name)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, by_name)
        # Not by enable_server_reflection, which takes any server but grpc.aio's own for a blocking one.
        names = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(names), by_name
        )

    async def start(self, address: str, certificates: Certificates | None = None) -> int:
        """Listens on `HOST:PORT` and returns the port. Health is NOT_SERVING until `set_serving`.

        With certificates only by TLS.

        Raises RuntimeError where the address cannot be bound.
        """
        await self.set_serving(False)
        if certificates is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, certificates.credentials())
        await self._server.start()
        return port

    async def set_serving(self, serving: bool) -> None:
        """What health says, for the whole server and for each service."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *_SERVICES):
            await self._health.set(name, status)

    async def drain(self, seconds: float) -> None:
        """Refuses new calls with UNAVAILABLE, lets those in flight finish, and cancels what is left then."""
        self._interceptor.draining = True
        await self._health.enter_graceful_shutdown()
        await self._server.stop(seconds)


class _ByName:
    """Takes the handlers of a service for gRPC's asyncio server, but not as "registered methods".

    With those it waits for the next call of each method, and begins and ends that wait anew at every call:
    a quarter of a millisecond with all our methods.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, object]) -> None:
        """What generated code calls besides."""
