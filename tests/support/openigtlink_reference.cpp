// Takes one IMAGE, and the TRANSFORMs before it, from an OpenIGTLink server with the reference library, and writes what
// it reads of them as lines of JSON. Then it serves what it got, once, on a port that it chooses: as a scanner would.
//
//     openigtlink_reference PORT

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "igtlClientSocket.h"
#include "igtlImageMessage.h"
#include "igtlServerSocket.h"
#include "igtlTransformMessage.h"

namespace {

template <typename Message>
typename Message::Pointer receive(igtl::MessageHeader* header, igtl::Socket* from) {
    auto message = Message::New();
    message->SetMessageHeader(header);
    message->AllocatePack();
    from->Receive(message->GetPackBodyPointer(), message->GetPackBodySize());
    if (!(message->Unpack(1) & igtl::MessageHeader::UNPACK_BODY)) {
        std::fprintf(stderr, "the body of %s cannot be read\n", header->GetDeviceType());
        std::exit(3);
    }
    return message;
}

void print(const char* type, const char* device, igtl::Matrix4x4& matrix) {
    std::printf("{\"type\": \"%s\", \"device\": \"%s\", \"matrix\": [", type, device);
    for (int row = 0; row < 4; ++row)
        std::printf("%s[%.9g, %.9g, %.9g, %.9g]", row ? ", " : "", matrix[row][0], matrix[row][1], matrix[row][2],
                    matrix[row][3]);
    std::printf("]");
}

}  // namespace

int main(int, char** arguments) {
    auto server = igtl::ClientSocket::New();
    if (server->ConnectToServer("127.0.0.1", std::atoi(arguments[1])) != 0) return 2;
    server->SetReceiveTimeout(20000);
    igtl::ImageMessage::Pointer image;
    while (image.IsNull()) {
        auto header = igtl::MessageHeader::New();
        header->InitPack();
        if (server->Receive(header->GetPackPointer(), header->GetPackSize()) != header->GetPackSize()) return 4;
        header->Unpack();
        igtl::Matrix4x4 matrix;
        if (std::strcmp(header->GetDeviceType(), "TRANSFORM") == 0) {
            auto transform = receive<igtl::TransformMessage>(header, server);
            transform->GetMatrix(matrix);
            print("TRANSFORM", transform->GetDeviceName(), matrix);
            std::printf("}\n");
        } else if (std::strcmp(header->GetDeviceType(), "IMAGE") == 0) {
            image = receive<igtl::ImageMessage>(header, server);
            image->GetMatrix(matrix);
            int size[3];
            float spacing[3];
            image->GetDimensions(size);
            image->GetSpacing(spacing);
            auto time = igtl::TimeStamp::New();
            image->GetTimeStamp(time);
            print("IMAGE", image->GetDeviceName(), matrix);
            std::printf(", \"size\": [%d, %d, %d], \"spacing\": [%.9g, %.9g, %.9g], \"time\": %.6f, \"pixels\": [", size[0],
                        size[1], size[2], spacing[0], spacing[1], spacing[2], time->GetTimeStamp());
            auto pixels = static_cast<unsigned char*>(image->GetScalarPointer());
            for (int n = 0; n < size[0] * size[1]; ++n) std::printf("%s%d", n ? ", " : "", pixels[n]);
            std::printf("]}\n");
        } else {
            return 5;
        }
    }
    server->CloseSocket();
    auto listener = igtl::ServerSocket::New();
    if (listener->CreateServer(0) != 0) return 6;
    std::printf("{\"port\": %d}\n", listener->GetServerPort());
    std::fflush(stdout);
    auto client = listener->WaitForConnection(20000);
    if (client.IsNull()) return 7;
    image->SetDeviceName("Reference");
    image->Pack();
    client->Send(image->GetPackPointer(), image->GetPackSize());
    char rest;
    client->Receive(&rest, 1);
    return 0;
}
