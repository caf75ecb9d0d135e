using System.Reflection;
using Cloning.Instances;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Bgkvm.Control;

/// <summary>The control API: HTTP/1.1 and JSON over a Unix socket (docs/control-api.md).</summary>
internal sealed class ControlServer : IAsyncDisposable
{
    private const long MaximumBodyBytes = 64 * 1024;
    private static readonly TimeSpan s_lastAnswers = TimeSpan.FromSeconds(5);

    private readonly WebApplication _app;

    private ControlServer(WebApplication app) => _app = app;

    /// <summary>Starts serving.</summary>
    /// <param name="socketPath">Where. A socket left over there is removed: the caller holds the instance's lock.</param>
    /// <param name="instance">What it controls.</param>
    /// <param name="logs">Where requests that change something are logged.</param>
    public static async Task<ControlServer> StartAsync(string socketPath, IInstance instance, ILoggerFactory logs)
    {
        File.Delete(socketPath);
        // The empty builder: no configuration files, no environment variables, no request logging, nothing to wait for.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = MaximumBodyBytes;
            kestrel.ListenUnixSocket(socketPath, listen => listen.Protocols = HttpProtocols.Http1);
        });
        builder.Services.AddRoutingCore();
        // Signals are the instance's, not the web server's.
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = s_lastAnswers);

        WebApplication app = builder.Build();
        ControlRoutes.Map(app, instance, logs.CreateLogger("control"));
        await app.StartAsync();
        File.SetUnixFileMode(socketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return new ControlServer(app);
    }

    /// <summary>What it answers, as <c>METHOD /path</c>.</summary>
    internal IEnumerable<string> Routes =>
        from source in ((IEndpointRouteBuilder)_app).DataSources
        from endpoint in source.Endpoints.OfType<RouteEndpoint>()
        from method in endpoint.Metadata.GetRequiredMetadata<HttpMethodMetadata>().HttpMethods
        select $"{method} {endpoint.RoutePattern.RawText}";

    /// <summary>The description of the API, an OpenAPI document.</summary>
    internal static Stream OpenOpenApi() =>
        Assembly.GetExecutingAssembly().GetManifestResourceStream("openapi.json")!;

    /// <summary>Finishes what is being answered and stops.</summary>
    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
