using Bgkvm;
using Bgkvm.Hosting;

return Cli.Run(args, InstanceHost.Start);
