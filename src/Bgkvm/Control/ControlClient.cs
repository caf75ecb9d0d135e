using System.Net.Http.Headers;
using System.Net.ServerSentEvents;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Cloning.Instances;

namespace Bgkvm.Control;

/// <summary>The other end of <see cref="ControlServer"/>, for the command line.</summary>
internal sealed class ControlClient : IDisposable
{
    private static readonly TimeSpan s_lookLimit = TimeSpan.FromSeconds(30);

    private readonly string _name;
    private readonly HttpClient _http;

    /// <summary>Prepares to talk to an instance; connects with the first request.</summary>
    public ControlClient(InstanceDirectory directory)
    {
        _name = directory.Name;
        SocketsHttpHandler handler = new()
        {
            UseProxy = false,
            ConnectCallback = async (_, cancellation) =>
            {
                Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(directory.ControlSocket), cancellation);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        };
        _http = new HttpClient(handler) { BaseAddress = new Uri("http://localhost"), Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>GET /v1/instance. The only request with a time-out: looking at an instance that hangs must not hang.</summary>
    public async Task<InstanceStatus> StatusAsync()
    {
        try
        {
            return await SendAsync(new HttpRequestMessage(HttpMethod.Get, "/v1/instance"), ControlJson.Default.InstanceStatus)
                .WaitAsync(s_lookLimit);
        }
        catch (TimeoutException e)
        {
            throw Gone(e);
        }
    }

    /// <summary>POST /v1/stop.</summary>
    public Task<StopResult> StopAsync(StopBody body) =>
        SendAsync(Post("/v1/stop", body, ControlJson.Default.StopBody), ControlJson.Default.StopResult);

    /// <summary>POST /v1/console/break.</summary>
    public async Task BreakAsync() => (await ExchangeAsync(new HttpRequestMessage(HttpMethod.Post, "/v1/console/break"))).Dispose();

    /// <summary>POST /v1/reboot, watching.</summary>
    /// <param name="body">How.</param>
    /// <param name="progress">Told of every phase, in order.</param>
    public async Task<RebootReport> RebootAsync(RebootBody body, Action<RebootProgress> progress)
    {
        using HttpRequestMessage request = Post("/v1/reboot", body, ControlJson.Default.RebootBody);
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        using HttpResponseMessage response = await ExchangeAsync(request);
        try
        {
            await using Stream stream = await response.Content.ReadAsStreamAsync();
            await foreach (SseItem<string> item in SseParser.Create(stream).EnumerateAsync())
            {
                switch (item.EventType)
                {
                    case "progress":
                        progress(JsonSerializer.Deserialize(item.Data, ControlJson.Default.RebootProgress)!);
                        break;
                    case "report":
                        return JsonSerializer.Deserialize(item.Data, ControlJson.Default.RebootReport)!;
                    case "problem":
                        throw Refusal(JsonSerializer.Deserialize(item.Data, ControlJson.Default.Problem)!);
                }
            }
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            throw Gone(e);
        }

        throw Gone(null);
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private static HttpRequestMessage Post<T>(string path, T body, JsonTypeInfo<T> type) =>
        new(HttpMethod.Post, path)
        {
            Content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(body, type))
            {
                Headers = { ContentType = new MediaTypeHeaderValue("application/json") },
            },
        };

    private async Task<T> SendAsync<T>(HttpRequestMessage request, JsonTypeInfo<T> type)
    {
        using (request)
        {
            using HttpResponseMessage response = await ExchangeAsync(request);
            return JsonSerializer.Deserialize(await response.Content.ReadAsByteArrayAsync(), type)!;
        }
    }

    private async Task<HttpResponseMessage> ExchangeAsync(HttpRequestMessage request)
    {
        HttpResponseMessage response;
        try
        {
            response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        }
        catch (HttpRequestException e)
        {
            throw Gone(e);
        }

        if (response.IsSuccessStatusCode) return response;
        using (response)
        {
            throw response.Content.Headers.ContentType?.MediaType == Problem.MediaType
                ? Refusal(JsonSerializer.Deserialize(await response.Content.ReadAsByteArrayAsync(), ControlJson.Default.Problem)!)
                : new InstanceException($"{_name} answered {(int)response.StatusCode}");
        }
    }

    private InstanceException Refusal(Problem problem) => new($"{_name}: {problem.Detail}", problem.ExitCode);

    private InstanceException Gone(Exception? inner) => new(
        inner?.InnerException is SocketException { SocketErrorCode: SocketError.AddressNotAvailable or SocketError.ConnectionRefused }
            ? $"{_name} does not answer: it is starting up or ending"
            : $"{_name} broke off: its process has ended (bgkvm logs {_name})",
        inner: inner);
}
